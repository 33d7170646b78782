/// The retained values that one subscription has yet to receive.
///
/// The values are read in pieces, from a view of the store as it was at ``seq``. Later messages come live, and are
/// held until the snapshot is complete. So nothing is lost, duplicated or out of order where the two meet.
///
/// A view costs the store room for replaced values, so there are few, and the store may take them back. The rest is
/// then read from the current state; a replaced value is left out, because its successor comes live. If nothing comes
/// live, the successor is sent.
struct Snapshot {
    let filter: TopicFilter
    /// The newest message the snapshot knows of.
    let seq: UInt64
    /// Values that were not on disk yet when it began, including removals.
    private let overlay: [Message]
    private let overlaid: Set<Topic>
    /// Ephemeral values as of ``seq``; `nil` if there are none.
    private let ephemerals: EphemeralTable?
    /// The position in them; `nil` if all have been read.
    private var ephemeralPlace: EphemeralTable.Place?
    /// How many values of the overlay have been sent.
    private var nextOverlaid = 0
    /// Whether a piece has been read.
    private(set) var hasBegun = false
    private var position: Topic?
    /// The view; `nil` to read the current state of the store.
    private let view: (any RetainedView)?
    /// Whether it must wait until every retained message up to ``seq`` is on disk.
    let waitsForStore: Bool
    /// Values newer than this are left out.
    private let newest: UInt64

    /// - Parameter isAll: whether nothing comes live after it, so that newer values are not left out.
    init(
        filter: TopicFilter, seq: UInt64, overlay: [Message], ephemerals: EphemeralTable? = nil,
        view: (any RetainedView)? = nil, waitsForStore: Bool = false, isAll: Bool = false
    ) {
        self.view = view
        self.waitsForStore = waitsForStore
        newest = isAll ? .max : seq
        self.filter = filter
        self.seq = seq
        self.overlay = overlay
        overlaid = Set(overlay.map(\.topic))
        self.ephemerals = ephemerals
        ephemeralPlace = ephemerals.map { _ in EphemeralTable.Place() }
    }

    enum Progress { case finished, more }

    /// Passes `body` the next piece.
    ///
    /// - Parameters:
    ///   - visits: the maximum number of keys of the store to visit.
    ///   - bytes: the size after which the piece is large enough.
    mutating func read(
        _ store: any RetainedStore, visits: Int, bytes: Int, now: Int64, _ body: (Message) -> Void
    ) throws(StorageError) -> Progress {
        hasBegun = true
        var sent = 0
        while nextOverlaid < overlay.count {
            let message = overlay[nextOverlaid]
            nextOverlaid += 1
            guard !message.payload.isEmpty, !message.isExpired(at: now) else { continue }
            // This value was removed, and then an ephemeral one was set.
            if let newer = ephemerals?[message.topic], newer.seq > message.seq { continue }
            body(message)
            sent += message.weight
            if sent >= bytes { return .more }
        }
        if var place = ephemeralPlace, let ephemerals {
            let isAll = ephemerals.read(filter, from: &place, visiting: visits) { message in
                body(message)
                sent += message.weight
                return sent < bytes
            }
            ephemeralPlace = isAll ? nil : place
            if !isAll || sent >= bytes { return .more }
        }
        let end = try scan(store, visits, now) { message in
            if message.seq <= newest, !overlaid.contains(message.topic), ephemerals?[message.topic] == nil {
                body(message)
                sent += message.weight
            }
            return sent < bytes
        }
        switch end {
        case .finished: return .finished
        case .stopped(let topic):
            position = topic
            return .more
        }
    }

    private func scan(
        _ store: any RetainedStore, _ visits: Int, _ now: Int64, _ body: (Message) -> Bool
    ) throws(StorageError) -> ScanEnd {
        guard let view else { return try store.scan(filter, after: position, visiting: visits, now: now, body) }
        return try view.scan(filter, after: position, visiting: visits, now: now, body)
    }
}
