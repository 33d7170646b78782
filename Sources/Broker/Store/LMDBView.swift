internal import Synchronization

/// The values that one read transaction sees.
///
/// The store takes the transaction back where the file has to be opened again, and where the view keeps too much from being
/// freed or for too long, whether anybody reads it or not. The view then shows the values as they are.
final class LMDBView: RetainedView {
    private let store: LMDBStore
    private let lent: Mutex<LMDBReader?>
    private let number: Int

    /// - Parameter taken: from ``LMDBReaders/takeForView(lastPage:)``, and given back by this.
    init(_ store: LMDBStore, _ taken: (reader: LMDBReader, number: Int)) {
        self.store = store
        lent = Mutex(taken.reader)
        number = taken.number
        store.readers.remember(self, as: number)
    }

    deinit { letGo() }

    /// Gives the transaction back before its time; waits for a scan that goes on.
    ///
    /// Any thread.
    ///
    /// - Returns: `false` when that was done before.
    @discardableResult
    func letGo() -> Bool {
        lent.withLock { lent in
            guard let reader = lent else { return false }
            lent = nil
            store.readers.forget(view: number)
            store.readers.giveBack(reader)
            return true
        }
    }

    func scan(
        _ filter: TopicFilter, after position: Topic?, visiting maximum: Int, now: Int64, _ body: (Message) -> Bool
    ) throws(StorageError) -> ScanEnd {
        let end: ScanEnd? = try lent.withLock { (lent) throws(StorageError) in
            guard let lent else { return nil }
            return try store.scan(filter, after: position, visiting: maximum, now: now, lent, body)
        }
        if let end { return end }
        return try store.scan(filter, after: position, visiting: maximum, now: now, body)
    }
}
