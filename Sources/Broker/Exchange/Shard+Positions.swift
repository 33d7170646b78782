internal import WSTransport

/// Positions as clients know them: a number, or one for each of several logs.
extension Shard {
    /// Refuses a position with another number of parts than there are logs.
    package func check(_ point: ResumePoint?) throws(Refusal) {
        guard let point else { return }
        let count = sequencer.partitions.count
        if count == 1 {
            guard point.parts == nil else {
                throw Refusal(.badRequest, "since: expected SEQ or EPOCH-SEQ, found a position in several partitions.")
            }
        } else if point.parts.map({ $0.count != count }) ?? (point.seq > 0) {
            throw Refusal(
                .badRequest,
                """
                since: the cluster has \(count) partitions, expected a position with \(count) parts, \
                EPOCH-0:SEQ,1:SEQ and so on, found \(point.parts.map { "\($0.count)" } ?? "one number").
                """)
        }
    }

    /// The position at a place, as clients get it if there are several logs; `nil` if the place is the position.
    package func position(at seq: UInt64) -> String? { sequencer.position(at: seq).map { text(of: $0) } }

    /// A position in several logs, as clients get it.
    func text(of position: [UInt64]) -> String {
        let parts = position.enumerated().map { "\($0.offset):\($0.element)" }
        return "\(store.epoch)-" + parts.joined(separator: ",")
    }

    /// Finds the place of the position from which a subscription resumes, if there are several logs.
    ///
    /// - Returns: the messages that the client has; `nil` if one number says it.
    func locate(_ options: inout SubscribeOptions, of filter: TopicFilter) -> ResumeParts? {
        let partitions = sequencer.partitions
        guard partitions.count > 1, let since = options.since else { return nil }
        var numbers = since.parts ?? Array(repeating: 0, count: partitions.count)
        let newest = sequencer.position(at: .max) ?? []
        let relevant = partitions.partition(of: filter).map { [$0] } ?? Array(0..<partitions.count)
        // Beyond the newest message: treated like a number that is too high.
        let isBeyond = relevant.contains { numbers[$0] > newest[$0] }
        // Messages that the client has from beyond a jump are in no log: it gets those that replaced them.
        var begun: [UInt64] = Array(repeating: 0, count: partitions.count)
        for partition in relevant {
            guard let jump = sequencer.jumps(of: partition).jump(over: partitions.seq(numbers[partition])) else {
                continue
            }
            numbers[partition] = partitions.number(jump.closed, of: partition)
            begun[partition] = partitions.number(jump.begun, of: partition)
        }
        let parts = ResumeParts(partitions, numbers: numbers, places: sequencer.places(of: numbers))
        var place = relevant.map { parts.places[$0] }.min() ?? 0
        if begun.contains(where: { $0 > 0 }) {
            parts.note(begun: begun, at: sequencer.places(of: begun))
            // Also if no message has come after the jump.
            if place > 0 { place -= 1 }
        }
        options.since?.seq = isBeyond ? .max : place
        return parts
    }

    private static let isBehind = Refusal(
        .unavailable, "The broker has not reached the position of `since` yet; try another, or try again.")

    /// How long a client waits, in nanoseconds, if it has been at a broker of the cluster that has read more than this
    /// one.
    package static let reachPatience: Int64 = 5_000_000_000
    private static let reachPace: Int64 = 5_000_000

    /// Refuses a client whose position this broker of a cluster cannot reach now.
    ///
    /// Messages that the broker has not read yet are not a gap.
    func checkReach(_ point: ResumePoint?, of filter: TopicFilter) throws(Refusal) {
        if isAhead(point, of: filter), hindrance?() != nil { throw Self.isBehind }
    }

    /// Whether a client has a position that this broker of a cluster has not reached yet.
    ///
    /// - Parameter filter: the filter that it subscribes to; `nil` for all topics.
    package func isAhead(_ point: ResumePoint?, of filter: TopicFilter? = nil) -> Bool {
        guard hindrance != nil, let point else { return false }
        if let parts = point.parts {
            guard let newest = sequencer.position(at: .max), newest.count == parts.count,
                point.epoch ?? store.epoch == store.epoch
            else { return false }
            let only = filter.flatMap { sequencer.partitions.partition(of: $0) }
            return parts.indices.contains { (only ?? $0) == $0 && parts[$0] > newest[$0] }
        }
        guard point.seq > deliveredUpTo else { return false }
        return point.seq > sequencer.newest && point.epoch ?? store.epoch == store.epoch
    }

    /// Runs `body` when this broker has reached a position, or after ``reachPatience``.
    package func afterReaching(_ point: ResumePoint?, _ body: @escaping () -> Void) {
        let deadline = reactor.now.advanced(byNanoseconds: Self.reachPatience)
        func look() {
            guard isAhead(point), reactor.now < deadline else { return body() }
            reactor.run(afterNanoseconds: Self.reachPace, look)
        }
        look()
    }
}
