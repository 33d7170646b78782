internal import Synchronization

/// The values that one read transaction sees.
///
/// Where the file has to be opened again the transaction is taken away, and the view shows the values as they are.
final class LMDBView: RetainedView {
    private let store: LMDBStore
    private let lent: Mutex<LMDBReader?>
    private let number = Atomic<Int>(0)

    /// - Parameter reader: taken from the store's readers, and given back by this.
    init(_ store: LMDBStore, _ reader: LMDBReader) {
        self.store = store
        lent = Mutex(reader)
        number.store(store.readers.remember(self), ordering: .relaxed)
    }

    deinit {
        letGo()
        store.readers.forget(view: number.load(ordering: .relaxed))
    }

    /// Gives the transaction back before its time; waits for a scan that goes on.
    ///
    /// Any thread.
    func letGo() {
        lent.withLock { lent in
            guard let reader = lent else { return }
            lent = nil
            store.readers.giveBack(reader)
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
