/// Connects to the first of several addresses that answers.
///
/// The next one is tried when one fails, or has not answered for a while (RFC 8305 §5); the earlier attempt continues.
/// Runs on its reactor.
final class ClientDial {
    typealias Completion = (Result<StreamConnection, ConnectError>) -> Void

    private let reactor: Reactor
    private var untried: ArraySlice<SocketAddress>
    private var trying: [StreamConnection] = []
    private let deadline: MonotonicTime
    private let delay: Int64
    private var completion: Completion?
    private var failure = ConnectError.timedOut

    private init(
        _ reactor: Reactor, _ addresses: [SocketAddress], _ deadline: MonotonicTime, _ delay: Int64,
        _ completion: @escaping Completion
    ) {
        self.reactor = reactor
        untried = addresses[...]
        self.deadline = deadline
        self.delay = delay
        self.completion = completion
    }

    /// Starts; `completion` is called once, unless it is cancelled: with a connected stream that has no driver, or with
    /// the error of the last address.
    static func begin(
        _ addresses: [SocketAddress], on reactor: Reactor, deadline: MonotonicTime, delay: Int64,
        _ completion: @escaping Completion
    ) -> ClientDial {
        let dial = ClientDial(reactor, addresses, deadline, delay, completion)
        dial.tryNext()
        return dial
    }

    /// Ends every attempt, without calling `completion`.
    func cancel() {
        completion = nil
        reset(but: nil)
    }

    private func tryNext() {
        while completion != nil, let address = untried.popFirst() {
            do throws(Errno) {
                let descriptor = try Socket.connecting(to: address)
                let stream = reactor.adopt(descriptor, peer: address, isConnecting: true)
                stream.driver = DialDriver(stream: stream, dial: self)
                trying.append(stream)
                let next = reactor.now.advanced(byNanoseconds: delay)
                stream.setDeadline(untried.isEmpty ? deadline : min(next, deadline))
                return
            } catch {
                failure = .unreachable(error)
            }
        }
        if trying.isEmpty { finish(.failure(failure)) }
    }

    private func finish(_ result: Result<StreamConnection, ConnectError>) {
        guard let completion else { return }
        self.completion = nil
        completion(result)
    }

    private func reset(but winner: StreamConnection?) {
        let losers = trying
        trying = []
        for stream in losers where stream !== winner {
            stream.driver = nil
            stream.reset()
        }
    }

    fileprivate func connected(_ stream: StreamConnection) {
        reset(but: stream)
        stream.driver = nil
        stream.setDeadline(nil)
        finish(.success(stream))
    }

    fileprivate func failed(_ stream: StreamConnection) {
        trying.removeAll { $0 === stream }
        failure = stream.failure.map { .unreachable($0) } ?? .connectionLost
        tryNext()
    }

    fileprivate func isLate(_ stream: StreamConnection) {
        guard reactor.now < deadline else {
            reset(but: nil)
            return finish(.failure(.timedOut))
        }
        stream.setDeadline(deadline)
        tryNext()
    }
}

/// The driver that waits until one address has answered.
private final class DialDriver: StreamDriver {
    private let stream: StreamConnection
    private let dial: ClientDial

    init(stream: StreamConnection, dial: ClientDial) {
        self.stream = stream
        self.dial = dial
    }

    func drained() { dial.connected(stream) }

    func closed() { dial.failed(stream) }

    func deadlinePassed() { dial.isLate(stream) }

    func received(_ bytes: UnsafeMutableRawBufferPointer) -> Int { 0 }

    func receivedEnd() { stream.reset() }

    func fellBehind() {}

    func overflowed() {}
}
