internal import WSTransport

/// Checks whether the brokers that read one log have the same state.
///
/// Each record has the position and the digest of its sender. This broker remembers its own digests, and compares. A
/// value without a lock or a clock; its findings do not influence the log.
struct DigestComparison: Sendable {
    /// The result of comparing with the last record of another broker.
    struct Finding: Equatable, Sendable {
        /// The position of both brokers.
        let place: LogPosition
        let isEqual: Bool
    }

    /// The digests of this broker with their positions, in order; more than the maximum number of outstanding records.
    private var own = Fifo<(place: LogPosition, digest: UInt64)>()
    private(set) var findings: [UInt64: Finding] = [:]
    /// How often another broker has begun to differ.
    private(set) var divergences: UInt64 = 0

    private static let maximumOwn = 16_384
    /// The maximum number of compared brokers.
    private static let maximumNodes = 1024

    /// The position of this broker and its digest there, after everything up to it was applied.
    var latest: (place: LogPosition, digest: UInt64)? { own[own.count - 1] }

    /// Records that this broker has reached a position, with a digest.
    mutating func settle(_ place: LogPosition, _ digest: UInt64) {
        guard place != latest?.place else { return }
        own.append((place, digest))
        if own.count > Self.maximumOwn { _ = own.popFirst() }
    }

    /// Compares with the digest of another broker; a position that this one does not remember is skipped.
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
