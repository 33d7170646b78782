internal import Synchronization
internal import WSTransport

/// Requests of administrators that one broker of a cluster sends to others, and their answers.
///
/// Any thread.
final class NodeCalls: Sendable {
    /// Sends a letter to a broker.
    typealias Send = @Sendable (NodeLetter, _ node: UInt64) -> Void
    /// Answers a request of a broker, once, now or later.
    typealias Respond =
        @Sendable (
            _ question: [UInt8], _ sender: UInt64, _ answer: @escaping @Sendable ([UInt8]) -> Void
        ) -> Void

    /// What has become of questions since the start.
    struct Counts: Equatable, Sendable {
        /// Of this broker.
        var asked = 0
        /// Those of them that were not answered by all in time.
        var incomplete = 0
        /// Those that were not asked, because too many were open.
        var refused = 0
        /// Those of other brokers that were not answered, because too many were being.
        var ignored = 0
    }

    private struct Call {
        var missing: Set<UInt64>
        var answers: [UInt64: [UInt8]] = [:]
        let then: @Sendable ([UInt64: [UInt8]]) -> Void
    }

    private struct State {
        var calls: [UInt64: Call] = [:]
        /// Begins with a random number, so that answers to an earlier process match no request.
        var last = UInt64.random(in: 0..<1 << 62)
        var send: Send = { _, _ in }
        var respond: Respond = { _, _, _ in }
        /// How many requests of others are being answered.
        var unanswered = 0
        var counts = Counts()
    }

    private let state = Mutex(State())
    private let node: UInt64
    /// How many requests of others are answered at a time; further ones are ignored.
    private static let maximumUnanswered = 64
    /// How many requests to others may be open.
    private static let maximumCalls = 256

    init(node: UInt64) { self.node = node }

    /// What has become of questions since the start.
    var counts: Counts { state.withLock { $0.counts } }

    func begin(_ send: @escaping Send) { state.withLock { $0.send = send } }
    func serve(_ respond: @escaping Respond) { state.withLock { $0.respond = respond } }

    /// Sends a request to others; `then` gets the answers when all have arrived, or after ``giveUp(_:)``.
    ///
    /// - Returns: the number of the request; `nil` if too many are open.
    func ask(
        _ nodes: [UInt64], _ question: [UInt8], _ then: @escaping @Sendable ([UInt64: [UInt8]]) -> Void
    ) -> UInt64? {
        let found = state.withLock { state -> (UInt64, Send)? in
            guard state.calls.count < Self.maximumCalls else {
                state.counts.refused += 1
                return nil
            }
            state.counts.asked += 1
            state.last += 1
            state.calls[state.last] = Call(missing: Set(nodes), then: then)
            return (state.last, state.send)
        }
        guard let (number, send) = found else { return nil }
        for other in nodes { send(NodeLetter(.question, number, from: node, question), other) }
        return number
    }

    /// Stops waiting for the answers to a request.
    func giveUp(_ number: UInt64) {
        let call = state.withLock { state in
            let call = state.calls.removeValue(forKey: number)
            if call != nil { state.counts.incomplete += 1 }
            return call
        }
        guard let call else { return }
        call.then(call.answers)
    }

    /// Handles a letter from another broker.
    func take(_ letter: NodeLetter) {
        switch letter.kind {
        case .question:
            let taken = state.withLock { state -> (Respond, Send)? in
                guard state.unanswered < Self.maximumUnanswered else {
                    state.counts.ignored += 1
                    return nil
                }
                state.unanswered += 1
                return (state.respond, state.send)
            }
            guard let (respond, send) = taken else { return }
            respond(letter.content, letter.sender) { [self] answer in
                state.withLock { $0.unanswered -= 1 }
                send(NodeLetter(.answer, letter.number, from: node, answer), letter.sender)
            }
        case .answer:
            let done = state.withLock { state -> Call? in
                guard state.calls[letter.number]?.missing.remove(letter.sender) != nil else { return nil }
                state.calls[letter.number]?.answers[letter.sender] = letter.content
                guard state.calls[letter.number]?.missing.isEmpty == true else { return nil }
                return state.calls.removeValue(forKey: letter.number)
            }
            if let done { done.then(done.answers) }
        }
    }
}
