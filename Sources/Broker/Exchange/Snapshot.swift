/// The retained values that one subscription is still to be shown.
///
/// The values are read in pieces, from a view of the store as it was at ``seq``. What is numbered after it comes live, and is
/// held until the snapshot is complete. So nothing is lost, doubled or out of order at the seam.
///
/// A view costs the store room for what is replaced meanwhile, so after a minute the rest is read without it: a value that
/// was replaced since is then left out, and its successor comes live.
struct Snapshot {
    let filter: TopicFilter
    /// The newest message the snapshot knows of.
    let seq: UInt64
    /// Values that were not on disk yet when it began, with the removals among them.
    private let overlay: [Message]
    private let overlaid: Set<Topic>
    /// How much of the overlay is shown.
    private var nextOverlaid = 0
    /// Whether a piece was read.
    private(set) var hasBegun = false
    private var position: Topic?
    /// `nil`: the store as it is.
    private var view: (any RetainedView)?
    /// Until when the view is held, in Unix milliseconds.
    private var deadline: Int64?
    private static let patience: Int64 = 60_000

    init(filter: TopicFilter, seq: UInt64, overlay: [Message], view: (any RetainedView)? = nil) {
        self.view = view
        self.filter = filter
        self.seq = seq
        self.overlay = overlay
        overlaid = Set(overlay.map(\.topic))
    }

    enum Progress { case finished, more }

    /// Shows `body` the next piece.
    ///
    /// - Parameters:
    ///   - visits: the most keys of the store to look at.
    ///   - bytes: the payload after which the piece is large enough.
    mutating func read(
        _ store: any RetainedStore, visits: Int, bytes: Int, now: Int64, _ body: (Message) -> Void
    ) throws(StorageError) -> Progress {
        hasBegun = true
        var sent = 0
        while nextOverlaid < overlay.count {
            let message = overlay[nextOverlaid]
            nextOverlaid += 1
            guard !message.payload.isEmpty, message.expiry == 0 || message.expiry > now else { continue }
            body(message)
            sent += message.payload.count + 128
            if sent >= bytes { return .more }
        }
        if let deadline, now > deadline { view = nil }
        deadline = deadline ?? now + Self.patience
        let end = try scan(store, visits, now) { message in
            if message.seq <= seq, !overlaid.contains(message.topic) {
                body(message)
                sent += message.payload.count + 128
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
