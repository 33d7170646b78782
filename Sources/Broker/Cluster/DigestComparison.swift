internal import WSTransport

/// Whether the brokers that read one log have come to the same.
///
/// Each record says how far its sender had come, and to which digest. This broker remembers its own digests, and compares. A
/// value without a lock or a clock; what it finds decides nothing of the log.
struct DigestComparison: Sendable {
    /// What the last record of another broker has shown.
    struct Finding: Equatable, Sendable {
        /// Where both were.
        let place: LogPosition
        let isEqual: Bool
    }

    /// Of this broker, with where it was, in order; as many as records may be under way, and more.
    private var own = Fifo<(place: LogPosition, digest: UInt64)>()
    private(set) var findings: [UInt64: Finding] = [:]
    /// How often another has begun to differ.
    private(set) var divergences: UInt64 = 0

    private static let maximumOwn = 16_384
    /// How many brokers are looked at.
    private static let maximumNodes = 1024

    /// Where this broker is, and the digest there, when all that came up to it is applied.
    var latest: (place: LogPosition, digest: UInt64)? { own[own.count - 1] }

    /// This broker has come to a position, with a digest.
    mutating func settle(_ place: LogPosition, _ digest: UInt64) {
        guard place != latest?.place else { return }
        own.append((place, digest))
        if own.count > Self.maximumOwn { _ = own.popFirst() }
    }

    /// Compares with what another broker says; a position that this one does not remember shows nothing.
    mutating func compare(_ node: UInt64, at place: LogPosition, _ digest: UInt64) {
        let found = (0..<own.count).partitionPoint { own[$0].map { $0.place >= place } ?? true }
        guard let mine = own[found], mine.place == place, findings[node] != nil || findings.count < Self.maximumNodes
        else { return }
        let isEqual = mine.digest == digest
        if !isEqual, findings[node]?.isEqual ?? true { divergences += 1 }
        findings[node] = Finding(place: place, isEqual: isEqual)
    }

    /// Forgets a broker.
    mutating func forget(_ node: UInt64) { findings[node] = nil }
}
