internal import Synchronization

extension WS {
    /// Connects, and returns the connection's bytes.
    package static func stream(to address: SocketAddress) async throws(HandshakeError) -> any ByteStream {
        let remote: Remote
        do throws(Errno) { remote = try ClientReactor.shared.get() } catch { throw .unreachable("\(error)") }
        // Often the reactor answers before it is awaited. Swift's runtime orders that by its own
        // atomics, which the thread sanitizer does not know; it knows the lock.
        let answer = Mutex<Result<ConnectionStream, ConnectError>>(.failure(.cancelled))
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            remote.run { reactor in
                let number = Box()
                number.dial = ClientDial.begin(
                    [address], on: reactor, deadline: reactor.now.advanced(byNanoseconds: 10_000_000_000),
                    delay: 0
                ) { result in
                    number.dial = nil
                    answer.withLock { $0 = result.map { ConnectionStream($0, limits: .init()) } }
                    continuation.resume()
                }
            }
        }
        do throws(ConnectError) { return try answer.withLock { $0 }.get() } catch { throw HandshakeError(error) }
    }

    /// Keeps an attempt alive until it is done.
    private final class Box {
        var dial: ClientDial?
    }
}
