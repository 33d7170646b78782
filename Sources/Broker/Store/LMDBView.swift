internal import Synchronization

/// The values as seen by one read transaction.
///
/// The store takes the transaction back if the file must be opened again, or if the view prevents too much reuse or
/// lasts too long, even during use. The view then shows the present values.
final class LMDBView: RetainedView {
    private let store: LMDBStore
    private let lent: Mutex<LMDBReader?>
    private let number: Int

    /// - Parameter taken: from ``LMDBReaders/takeForView(lastPage:)``; this object returns it.
    init(_ store: LMDBStore, _ taken: (reader: LMDBReader, number: Int)) {
        self.store = store
        lent = Mutex(taken.reader)
        number = taken.number
        store.readers.remember(self, as: number)
    }

    deinit { letGo() }

    /// Returns the transaction early; waits for a scan in progress.
    ///
    /// Any thread.
    ///
    /// - Returns: `false` if the transaction was returned before.
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
