package import WSTransport

/// One connection to an engine, or to one of its sentinels: commands in a pipeline, and their answers in order.
///
/// It is opened once, logs in, and ends with the first failure. The number of waiting commands is bounded, and each
/// command gets its answer, or the reason why there is none. Runs on its reactor's thread.
package final class EngineLink {
    /// The credentials and the security with which to connect.
    package struct Access: Sendable {
        /// The user; `nil` for `default`.
        package var user: String?
        /// The password; `nil` to connect without login.
        package var password: String?
        /// The TLS settings; `nil` to connect without TLS.
        package var security: StreamOpening.Security?
        /// The name of the connection in the server's lists of clients; it must not contain spaces.
        package var clientName = "broker"

        package init() {}
    }

    /// The limits of a link.
    package struct Limits: Sendable {
        /// The timeout for connecting and logging in, and for each answer, in nanoseconds.
        package var timeout: Int64 = 1_000_000_000
        /// How many commands may wait for their answers.
        package var maximumCommands = 1024
        /// How many bytes may be unsent before the link ends.
        package var maximumUnsent = 64 << 20
        /// The limits of one answer.
        package var answers = RESPReader.Limits()

        package init() {}
    }

    /// The server's statement about itself.
    package struct Server: Equatable, Sendable {
        package let version: String
        /// Whether it accepts writes; a sentinel says so, too.
        package let isPrimary: Bool
    }

    package typealias Answer = Result<RESPValue, EngineFailure>

    private struct Pending {
        let deadline: MonotonicTime
        /// How many answers it gets before its last one, which are of no interest unless they are refusals.
        let skipped: Int
        let then: (Answer) -> Void
    }

    private enum Phase {
        case opening(StreamOpening?)
        case greeting(StreamConnection)
        case open(StreamConnection)
        case ended
    }

    package let endpoint: Endpoint
    package private(set) var server: Server?
    /// Called once when the link ends after it was open, unless ``close()`` ended it.
    package var onEnd: ((EngineFailure) -> Void)?

    private let reactor: Reactor
    private let access: Access
    private let limits: Limits
    private var phase = Phase.opening(nil)
    private var opened: ((Result<EngineLink, EngineFailure>) -> Void)?
    private var reader: RESPReader
    private var pending = Fifo<Pending>()
    /// The deadline of the oldest waiting command; `nil` if none waits.
    private var front: MonotonicTime?
    /// How many answers of the oldest waiting command have arrived, and the first refusal among them.
    private var arrived = (count: 0, refusal: RESPError?.none)

    private init(_ endpoint: Endpoint, _ access: Access, _ limits: Limits, _ reactor: Reactor) {
        (self.endpoint, self.access, self.limits, self.reactor) = (endpoint, access, limits, reactor)
        reader = RESPReader(limits: limits.answers)
    }

    // MARK: Opening

    /// Connects and logs in; `completion` is called once, in a later turn, unless the link is closed before.
    @discardableResult
    package static func open(
        _ endpoint: Endpoint, _ access: Access, _ limits: Limits = Limits(), on reactor: Reactor,
        _ completion: @escaping (Result<EngineLink, EngineFailure>) -> Void
    ) -> EngineLink {
        let link = EngineLink(endpoint, access, limits, reactor)
        link.opened = completion
        let deadline = reactor.now.advanced(byNanoseconds: limits.timeout)
        let opening = StreamOpening.begin(endpoint, security: access.security, deadline: deadline, on: reactor) {
            [link] result in
            switch result {
            case .failure(let error): link.end(.unreachable(error))
            case .success(let stream): link.greet(on: stream)
            }
        }
        link.phase = .opening(opening)
        return link
    }

    private func greet(on stream: StreamConnection) {
        guard case .opening = phase else { return stream.reset() }
        phase = .greeting(stream)
        stream.maximumUnsent = limits.maximumUnsent
        stream.isSpared = true
        stream.driver = self
        // RESP2: the same answers from all versions; `HELLO` also tells the version.
        var words: [RESPCommand.Word] = ["HELLO", "2"]
        if let password = access.password { words += ["AUTH", .text(access.user ?? "default"), .text(password)] }
        words += ["SETNAME", .text(access.clientName)]
        send(RESPCommand(words), on: stream, patience: limits.timeout) { [weak self] in self?.greeted($0) }
    }

    private func greeted(_ answer: Answer) {
        guard case .greeting(let stream) = phase else { return }
        do throws(EngineFailure) {
            server = try Self.server(try answer.get())
        } catch {
            return end(error)
        }
        phase = .open(stream)
        let opened = opened.take()
        opened?(.success(self))
    }

    private static func server(_ answer: RESPValue) throws(EngineFailure) -> Server {
        var facts: [String: String] = [:]
        let elements = answer.elements ?? []
        for place in stride(from: 0, to: elements.count - 1, by: 2) {
            if let name = elements[place].text { facts[name] = elements[place + 1].text }
        }
        guard let version = facts["version"], let major = version.split(separator: ".").first.flatMap({ Int($0) })
        else {
            throw .unfit("It is not Redis: its answer to HELLO names no version.")
        }
        guard major >= 7 else { throw .unfit("It is Redis \(version): use Redis 7.0 or later, or Valkey.") }
        return Server(version: version, isPrimary: facts["role"] == "master")
    }

    // MARK: Asking

    /// How many commands wait for their answers.
    package var waiting: Int { pending.count }

    /// Sends a command at the end of the turn; `then` is called once, in a later turn or when the link ends.
    ///
    /// If the server refuses it, only this command fails.
    ///
    /// - Parameter patience: how long the answer may take, in nanoseconds; `nil` for the limit of the link.
    package func ask(_ command: RESPCommand, patience: Int64? = nil, _ then: @escaping (Answer) -> Void) {
        ask(command, answers: 1, patience: patience, then)
    }

    private func ask(
        _ command: RESPCommand, answers: Int, patience: Int64? = nil, _ then: @escaping (Answer) -> Void
    ) {
        guard case .open(let stream) = phase else { return reactor.runSoon { then(.failure(.closed)) } }
        guard pending.count < limits.maximumCommands else { return reactor.runSoon { then(.failure(.busy)) } }
        send(command, on: stream, answers: answers, patience: patience ?? limits.timeout, then)
    }

    /// Sends commands as one transaction, like one command.
    ///
    /// `then` gets their results, or the first refusal: the server may have executed the other commands nevertheless.
    package func ask(transaction: [RESPCommand], _ then: @escaping (Result<[RESPValue], EngineFailure>) -> Void) {
        let whole = RESPCommand(joining: [["MULTI"]] + transaction + [["EXEC"]])
        ask(whole, answers: transaction.count + 2) { answer in
            then(
                answer.flatMap { value in
                    let results = value.elements ?? []
                    for case .error(let error) in results { return .failure(.refused(error)) }
                    return .success(results)
                })
        }
    }

    private func send(
        _ command: RESPCommand, on stream: StreamConnection, answers: Int = 1, patience: Int64,
        _ then: @escaping (Answer) -> Void
    ) {
        let deadline = reactor.now.advanced(byNanoseconds: patience)
        pending.append(Pending(deadline: deadline, skipped: answers - 1, then: then))
        if pending.count == 1 { watch(deadline, on: stream) }
        stream.send(command.bytes)
    }

    private func watch(_ deadline: MonotonicTime?, on stream: StreamConnection) {
        front = deadline
        stream.setDeadline(deadline)
    }

    private func answered(_ value: RESPValue, on stream: StreamConnection) {
        // Nothing has been requested that the server would push.
        if case .push = value { return }
        guard let oldest = pending.first else {
            return end(.malformed(RESPMistake("an answer without a command")))
        }
        if case .error(let error) = value { arrived.refusal = arrived.refusal ?? error }
        guard arrived.count == oldest.skipped else { return arrived.count += 1 }
        let refusal = arrived.refusal
        arrived = (0, nil)
        _ = pending.popFirst()
        watch(pending.first?.deadline, on: stream)
        if let refusal { oldest.then(.failure(.refused(refusal))) } else { oldest.then(.success(value)) }
    }

    // MARK: Ends

    /// Ends the link at once; waiting commands fail with ``EngineFailure/closed``.
    package func close() {
        onEnd = nil
        opened = nil
        end(.closed)
    }

    private func end(_ failure: EngineFailure) {
        switch phase {
        case .ended: return
        case .opening(let opening): opening?.cancel()
        case .greeting(let stream), .open(let stream):
            stream.driver = nil
            stream.reset()
        }
        phase = .ended
        let (opened, onEnd) = (opened.take(), onEnd.take())
        var rest = pending
        pending = Fifo()
        while let next = rest.popFirst() { next.then(.failure(failure)) }
        if let opened { opened(.failure(failure)) } else { onEnd?(failure) }
    }

    private var stream: StreamConnection? {
        switch phase {
        case .greeting(let stream), .open(let stream): stream
        case .opening, .ended: nil
        }
    }
}

extension EngineLink: StreamDriver {
    package func received(_ bytes: UnsafeMutableRawBufferPointer) -> Int {
        let count = bytes.count
        let span = unsafe Span<UInt8>(_unsafeBytes: UnsafeRawBufferPointer(bytes))
        var offset = 0
        do throws(RESPMistake) {
            // Handling an answer may end the link.
            while let stream, let value = try reader.next(span, &offset) { answered(value, on: stream) }
        } catch {
            end(.malformed(error))
        }
        return count
    }

    package func receivedEnd() { end(.closed) }

    package func deadlinePassed() {
        guard let front, let stream else { return }
        if reactor.now < front { stream.setDeadline(front) } else { end(.silent) }
    }

    package func fellBehind() {}

    package func drained() {}

    package func overflowed() { end(.silent) }

    package func closed() {
        // The server reports a certificate that it rejects only after our part of the handshake.
        if let failure = stream?.tlsFailure { return end(.unreachable(.insecure(failure))) }
        end(.closed)
    }

    package var heldBytes: Int { reader.heldBytes }
}
