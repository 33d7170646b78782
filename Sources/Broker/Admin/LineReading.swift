internal import WSTransport

/// Answers a request for lines, at once or when there is a new line.
extension LineRequest {
    /// How long an answer waits for a line, and how often it checks for one, in nanoseconds.
    private static var patience: Int64 { 20_000_000_000 }
    private static var pause: Int64 { 100_000_000 }
    /// How many requests may wait on one reactor.
    private static var maximumWaiting: Int { 64 }

    /// - Parameter isWanted: whether a line belongs to the answer.
    func read(
        _ memory: LineMemory, _ caller: AdminCaller, where isWanted: @escaping (LineMemory.Line) -> Bool,
        _ then: @escaping (Result<LogLines, Refusal>) -> Void
    ) throws(Refusal) {
        let desk = caller.desk
        guard isWaiting else { return look(in: memory, where: isWanted, then) }
        guard desk.lineReaders < Self.maximumWaiting else {
            throw Refusal(.limitExceeded, "Too many administrators follow a log.")
        }
        desk.lineReaders += 1
        let end = desk.shard.reactor.now.advanced(byNanoseconds: Self.patience)
        wait(until: end, memory, caller, where: isWanted, then)
    }

    private func look(
        in memory: LineMemory, where isWanted: (LineMemory.Line) -> Bool, _ then: (Result<LogLines, Refusal>) -> Void
    ) {
        let part = memory.lines(after: after, since: since, where: isWanted)
        var answer = LogLines()
        answer.lines = part.lines.map(\.bytes)
        answer.next = part.next
        answer.hasMore = part.hasMore
        answer.missed = part.missed
        then(.success(answer))
    }

    private func wait(
        until end: MonotonicTime, _ memory: LineMemory, _ caller: AdminCaller,
        where isWanted: @escaping (LineMemory.Line) -> Bool, _ then: @escaping (Result<LogLines, Refusal>) -> Void
    ) {
        let (desk, reactor) = (caller.desk, caller.desk.shard.reactor)
        let isOver = reactor.now >= end || !caller.goesOn || desk.shard.isDraining
        guard isOver || after.map({ $0 != memory.newest }) ?? (memory.newest > 0) else {
            return reactor.run(afterNanoseconds: Self.pause) {
                wait(until: end, memory, caller, where: isWanted, then)
            }
        }
        desk.lineReaders -= 1
        look(in: memory, where: isWanted, then)
    }
}
