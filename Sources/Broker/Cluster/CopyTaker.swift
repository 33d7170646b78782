internal import WSTransport

/// Gets a copy of another broker's store, through the engine, for the next start.
///
/// It never stops trying. Runs on its reactor's thread; another thread waits for the disk.
final class CopyTaker {
    private(set) var state = RedisLog.CopyProgress.waiting(nil)
    private let place: CopyPlace
    private let copies: StoreCopies
    private let ask: CopyQuestion
    private let reactor: Reactor
    private let onChange: () -> Void

    private var request = CopyPlace.randomName()
    private var giver: String?
    private var file: (any CopyToTake)?
    private var (received, pieces, size) = (0, 0, 0)
    /// How much of the copy the giver has made.
    private var made: Int64 = -1
    private var digest = LogDigest()
    private var told: LogDigest?
    private var progress: MonotonicTime
    private var announced: MonotonicTime?
    private var isOver = false

    /// The interval at which an unanswered request is repeated, in nanoseconds.
    private static let announcement: Int64 = 1_000_000_000

    init(
        at place: CopyPlace, _ copies: StoreCopies, on reactor: Reactor, _ ask: @escaping CopyQuestion,
        onChange: @escaping () -> Void
    ) {
        (self.place, self.copies, self.reactor, self.ask) = (place, copies, reactor, ask)
        self.onChange = onChange
        progress = reactor.now
        look()
    }

    func stop() {
        isOver = true
        file?.discard()
        file = nil
    }

    private func change(to new: RedisLog.CopyProgress) {
        guard new != state else { return }
        state = new
        onChange()
    }

    /// Starts over after a failure.
    private func again(_ reason: String) {
        file?.discard()
        (file, giver, request, announced) = (nil, nil, CopyPlace.randomName(), nil)
        (received, pieces, size, made, told) = (0, 0, 0, -1, nil)
        digest = LogDigest()
        change(to: .waiting(reason))
        lookSoon(CopyPlace.pace.idle)
    }

    private func lookSoon(_ pace: Int64) {
        reactor.run(afterNanoseconds: pace) { [weak self] in self?.look() }
    }

    private func look() {
        guard !isOver, state != .complete else { return }
        guard let giver else { return announce() }
        if reactor.now.nanoseconds(since: progress) > CopyPlace.patience { return again("nothing more came") }
        let fields = (pieces..<pieces + CopyPlace.window).map { CopyPlace.piece($0, of: giver) }
        var words: [RESPCommand.Word] = ["HMGET", .text(place.key), "giver", "making", "size", "digest"]
        words += fields.map { .text($0) }
        ask(RESPCommand(words)) { [weak self] answer in
            guard let self, !isOver else { return }
            guard case .success(let value) = answer, let words = value.elements, words.count == 4 + fields.count else {
                return lookSoon(CopyPlace.pace.idle)
            }
            guard words[0].text == giver else { return again("the broker that was sending it has given up") }
            if let made = words[1].integer, made != self.made { (self.made, progress) = (made, reactor.now) }
            if let size = words[2].integer.flatMap(Int.init(exactly:)) { self.size = size }
            told = words[3].text.flatMap { UInt64($0, radix: 16) }.map { LogDigest($0) } ?? told
            var new: [[UInt8]] = []
            for word in words[4...] {
                guard case .bytes(let piece) = word else { break }
                new.append(piece)
            }
            report()
            if new.isEmpty { return lookSoon(size == 0 ? CopyPlace.pace.idle : CopyPlace.pace.busy) }
            take(new, fields)
        }
    }

    /// Requests a copy from all brokers, and checks whether one provides it.
    private func announce() {
        let now = reactor.now
        if announced.map({ now.nanoseconds(since: $0) >= Self.announcement }) ?? true {
            if announced == nil { ask(["DEL", .text(place.key)]) { _ in } }
            announced = now
            ask(["HSET", .text(place.key), "request", .text(request)]) { _ in }
            ask(["HSET", .text(place.requests), .text(place.node), .text(request)]) { _ in }
        }
        ask(["HMGET", .text(place.key), "request", "giver"]) { [weak self] answer in
            guard let self, !isOver else { return }
            guard case .success(let value) = answer, let words = value.elements, words.count == 2,
                words[0].text == request, let giver = words[1].text
            else { return lookSoon(CopyPlace.pace.idle) }
            do throws(StorageError) { file = try copies.take() } catch {
                return again("\(error)")
            }
            (self.giver, progress) = (giver, reactor.now)
            report()
            look()
        }
    }

    private func report() {
        guard let number = giver?.split(separator: ".").first.flatMap({ UInt64($0, radix: 16) }) else { return }
        change(to: .coming(from: number, have: received, size: size))
    }

    /// Writes pieces.
    private func take(_ new: [[UInt8]], _ fields: [String]) {
        guard let file else { return }
        let isTaken = CopyPlace.pool.run { [request, remote = reactor.remote] in
            var failure: StorageError?
            do throws(StorageError) { for piece in new { try file.append(piece) } } catch { failure = error }
            remote.run { [failure] in
                $0[RedisSession.self]?.taker?.hasWritten(new, fields, failure, for: request)
            }
        }
        if !isTaken { again("no thread could be started") }
    }

    /// Makes room for more pieces after some were written.
    private func hasWritten(_ new: [[UInt8]], _ fields: [String], _ failure: StorageError?, for request: String) {
        guard request == self.request, !isOver else { return }
        if let failure { return again("\(failure)") }
        for piece in new {
            digest.add(piece.span)
            received += piece.count
        }
        pieces += new.count
        progress = reactor.now
        report()
        ask(RESPCommand(["HDEL", .text(place.key)] + fields.prefix(new.count).map { .text($0) })) { _ in }
        ask(["HSET", .text(place.key), "taken", .number(UInt64(pieces))]) { _ in }
        if size > 0, received >= size { finish() } else { look() }
    }

    private func finish() {
        guard let file else { return }
        guard received == size, digest == told else { return again("the received copy is damaged") }
        let isTaken = CopyPlace.pool.run { [request, remote = reactor.remote] in
            var failure: StorageError?
            do throws(StorageError) { try file.finish() } catch { failure = error }
            remote.run { [failure] in $0[RedisSession.self]?.taker?.hasFinished(failure, for: request) }
        }
        if !isTaken { again("no thread could be started") }
    }

    private func hasFinished(_ failure: StorageError?, for request: String) {
        guard request == self.request, !isOver else { return }
        if let failure { return again("\(failure)") }
        ask(["DEL", .text(place.key)]) { _ in }
        ask(["HDEL", .text(place.requests), .text(place.node)]) { _ in }
        change(to: .complete)
    }
}
