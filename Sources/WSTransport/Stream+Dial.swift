extension WS {
    /// Connects, and returns the connection's bytes.
    package static func stream(to address: SocketAddress) async throws(HandshakeError) -> any ByteStream {
        let remote: Remote
        do throws(Errno) { remote = try ClientReactor.shared.get() } catch { throw .unreachable("\(error)") }
        let result: Result<ConnectionStream, ConnectError> = await withCheckedContinuation { continuation in
            remote.run { reactor in
                let number = Box()
                number.dial = ClientDial.begin(
                    [address], on: reactor, deadline: reactor.now.advanced(byNanoseconds: 10_000_000_000),
                    delay: 0
                ) { result in
                    number.dial = nil
                    continuation.resume(returning: result.map { ConnectionStream($0, limits: .init()) })
                }
            }
        }
        do throws(ConnectError) { return try result.get() } catch { throw HandshakeError(error) }
    }

    /// Keeps an attempt until it is done.
    private final class Box {
        var dial: ClientDial?
    }
}
