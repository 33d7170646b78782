// The layout of the store as a whole has a number, the first in the store's own record (StoreState.swift); the second
// number there is the newest format of a message's record in the store (RecordHeader.swift). A version that changes a
// layout raises one of them, so that a broker that does not know the layout changes nothing. The numbers are read
// before the data directory is locked, with a few ordinary reads; a file that cannot be read in this way is left to the
// check that follows.
//
//     1   records of messages have a content type and no other properties
//     2   records of messages have properties; those of format 1 may be among them
//     3   as 2, for a broker of a cluster, with its position in the log and ephemeral values (LMDBStore+Order.swift)
//
// Records of format 1 stay readable. New records have format 2; the store's own record is rewritten at the first start.
// So a start takes the same time however many values there are. Format 3 is written by
// brokers of a cluster only.

/// The layouts of the store that this version knows.
enum StoreFormat {
    /// The layout of a single broker.
    static let single: UInt32 = 2
    /// The newest layout: that of a broker of a cluster.
    static let newest: UInt32 = 3
    /// The oldest layout that is read.
    static let oldest: UInt32 = 1
    /// Numbers above this are damage, not versions.
    private static let plausible: UInt64 = 255

    /// Throws ``StorageError/newer(_:)`` if a newer version has written the store in the file at `path`.
    ///
    /// Changes nothing, and takes no lock.
    static func check(_ path: String) throws(StorageError) {
        let state = value(of: StoreState.key, path)
        if state.count >= 8 {
            let (store, records) = (
                UInt64(state.span.littleEndian(UInt32.self, at: 0)), UInt64(state.span.littleEndian(UInt32.self, at: 4))
            )
            try check(store, UInt64(newest), "of format", path)
            try check(records, UInt64(RecordHeader.format), "with records of format", path)
        }
        let history = value(of: HistorySummary.key, path)
        if history.count >= 8 {
            let format = history.span.littleEndian(UInt64.self, at: 0)
            try check(format, HistorySummary.format, "with a history of format", path)
        }
    }

    private static func check(
        _ found: UInt64, _ known: UInt64, _ what: String, _ path: String
    ) throws(StorageError) {
        guard found > known, found <= plausible else { return }
        throw .newer("\(path) is a store \(what) \(found), and this version reads up to \(known)")
    }

    /// The first bytes of a record in `meta`; empty if it cannot be found.
    private static func value(of key: [UInt8], _ path: String) -> [UInt8] {
        do throws(StorageError) {
            return try LMDBFileCheck.peek(path, at: key, in: "meta") ?? []
        } catch {
            return []
        }
    }
}
