internal import Broker

/// Where a feed is: everything up to a number has arrived, or up to one for each of several partitions.
struct FeedPosition {
    private var parts: [UInt64]

    init(_ seq: UInt64) { parts = [seq] }

    /// Reads the members of an answer or a notice; `nil`: there is none.
    init?(seq: UInt64?, position: String?) {
        if let parts = position.flatMap({ ResumePoint($0)?.parts }) {
            self.parts = parts
        } else {
            guard let seq else { return nil }
            parts = [seq]
        }
    }

    /// How many partitions there are.
    var count: Int { parts.count }

    /// A message with this number has arrived.
    mutating func advance(to seq: UInt64) {
        let place = Int(seq % UInt64(parts.count))
        parts[place] = max(parts[place], seq)
    }

    /// Everything up to another position has arrived.
    mutating func advance(to other: FeedPosition) {
        parts = zip(other.parts, parts).map { max($0, $1) } + other.parts.dropFirst(parts.count)
    }

    /// The value of `since` for what comes after it.
    func text(of epoch: UInt64?) -> String {
        let text =
            parts.count == 1
            ? "\(parts[0])" : parts.enumerated().map { "\($0.offset):\($0.element)" }.joined(separator: ",")
        return epoch.map { "\($0)-\(text)" } ?? text
    }
}
