internal import WSTransport

/// Gives another broker a copy of this broker's store, through the engine.
///
/// Runs on its reactor's thread; another thread waits for the disk.
final class CopyGiver {
    let request: String
    private let place: CopyPlace
    private let copies: StoreCopies
    private let ask: CopyQuestion
    private let reactor: Reactor
    private let onEnd: (CopyGiver) -> Void
    /// Its name in the hash: the broker and the number of the copy.
    private let name: String

    private var file: (any CopyToGive)?
    /// The size of the copy; `nil` while it is being made.
    private var size: Int?
    private var digest = LogDigest()
    /// The next piece to send, and how many pieces the receiver has taken.
    private var (next, taken) = (0, 0)
    private var isReading = false
    private var progress: MonotonicTime
    private(set) var isOver = false

    /// Begins, unless another broker has begun.
    init(
        _ request: String, at place: CopyPlace, from node: UInt64, _ copies: StoreCopies, on reactor: Reactor,
        _ ask: @escaping CopyQuestion, onEnd: @escaping (CopyGiver) -> Void
    ) {
        (self.request, self.place, self.copies, self.ask, self.reactor) = (request, place, copies, ask, reactor)
        self.onEnd = onEnd
        name = "\(String(node, radix: 16)).\(CopyPlace.randomName())"
        progress = reactor.now
        ask(["HSETNX", .text(place.key), "giver", .text(name)]) { [weak self] answer in
            guard let self else { return }
            guard case .success(.integer(1)) = answer else { return end() }
            make()
            look()
        }
    }

    func end() {
        guard !isOver else { return }
        isOver = true
        file = nil
        onEnd(self)
    }

    private var count: Int? { size.map { ($0 + CopyPlace.pieceSize - 1) / CopyPlace.pieceSize } }

    private func make() {
        let file: any CopyToGive
        do throws(StorageError) { file = try copies.give() } catch { return end() }
        self.file = file
        let isTaken = CopyPlace.pool.run { [request, remote = reactor.remote] in
            var size: Int?
            do throws(StorageError) {
                try file.fill()
                size = file.size
            } catch {}
            remote.run { [size] in $0[RedisSession.self]?.giver?.made(size, for: request) }
        }
        if !isTaken { giveUp() }
    }

    /// The copy is in its file; `nil` if it could not be made.
    private func made(_ size: Int?, for request: String) {
        guard request == self.request, !isOver else { return }
        guard let size else { return giveUp() }
        (self.size, progress) = (size, reactor.now)
    }

    /// Removes what a receiver that has gone leaves; one that was only paused requests a copy again.
    private func cleanUp() {
        ask(["DEL", .text(place.key)]) { _ in }
        ask(["HDEL", .text(place.requests), .text(place.node)]) { _ in }
        end()
    }

    /// Lets another broker try.
    private func giveUp() {
        ask(["HDEL", .text(place.key), "giver"]) { _ in }
        end()
    }

    private func look() {
        guard !isOver else { return }
        ask(["HMGET", .text(place.key), "request", "giver", "taken"]) { [weak self] answer in
            guard let self, !isOver else { return }
            if case .success(let value) = answer, let words = value.elements, words.count == 3 {
                guard words[0].text == request, words[1].text == name else { return end() }
                if let taken = words[2].integer.flatMap(Int.init(exactly:)), taken > self.taken, taken <= next {
                    (self.taken, progress) = (taken, reactor.now)
                }
                if let count, self.taken >= count { return end() }
                send()
            }
            if size != nil, reactor.now.nanoseconds(since: progress) > CopyPlace.patience { return cleanUp() }
            let pace = size == nil ? CopyPlace.pace.idle : CopyPlace.pace.busy
            reactor.run(afterNanoseconds: pace) { [weak self] in self?.look() }
        }
    }

    private func send() {
        guard let file, let count else {
            let written = file?.size ?? 0
            return ask(["HSET", .text(place.key), "making", .number(UInt64(written))]) { _ in }
        }
        let last = min(count, taken + CopyPlace.window)
        guard !isReading, next < last else { return }
        isReading = true
        let isTaken = CopyPlace.pool.run { [next, request, remote = reactor.remote] in
            var pieces: [[UInt8]]? = []
            do throws(StorageError) {
                for number in next..<last {
                    pieces?.append(try file.piece(at: number * CopyPlace.pieceSize, count: CopyPlace.pieceSize))
                }
            } catch {
                pieces = nil
            }
            remote.run { [pieces] in $0[RedisSession.self]?.giver?.hasRead(pieces, for: request) }
        }
        if !isTaken { giveUp() }
    }

    /// The next pieces can be sent; `nil` if they could not be read.
    private func hasRead(_ pieces: [[UInt8]]?, for request: String) {
        guard request == self.request, !isOver, let size, let count else { return }
        guard let pieces else { return giveUp() }
        var words: [RESPCommand.Word] = ["HSET", .text(place.key), "size", .number(UInt64(size))]
        for (number, piece) in zip(next..., pieces) {
            digest.add(piece.span)
            words += [.text(CopyPlace.piece(number, of: name)), .bytes(piece)]
        }
        let last = next + pieces.count
        if last == count { words += ["digest", .text(String(digest.value, radix: 16))] }
        ask(RESPCommand(words)) { [weak self] answer in
            guard let self, !isOver else { return }
            isReading = false
            // The outcome is not known; the other broker will request a copy again.
            guard case .success = answer else { return end() }
            next = last
        }
    }
}
