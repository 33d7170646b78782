/// The retained values that one subscription is still to be shown.
///
/// The values are read in pieces, from a store that changes meanwhile. What is numbered after ``seq`` is left out: it
/// comes live, and is held until the snapshot is complete. So nothing is lost, doubled or out of order at the seam.
struct Snapshot {
    let filter: TopicFilter
    /// The newest message the snapshot knows of.
    let seq: UInt64
    /// Values that were not on disk yet when it began, with the removals among them.
    private let overlay: [Message]
    private let overlaid: Set<Topic>
    private var hasSentOverlay = false
    private var position: Topic?

    init(filter: TopicFilter, seq: UInt64, overlay: [Message]) {
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
        if !hasSentOverlay {
            hasSentOverlay = true
            for message in overlay where !message.payload.isEmpty && (message.expiry == 0 || message.expiry > now) {
                body(message)
            }
        }
        var sent = 0
        let end = try store.scan(filter, after: position, visiting: visits, now: now) { message in
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
}
