/// The first driver of a connection that a proxy has made: it waits for the proxy's header, then lets the client in.
///
/// The header comes before TLS. Runs on the reactor's thread.
final class ProxyPreface: StreamDriver {
    private unowned let stream: StreamConnection
    private let enter: (StreamConnection) -> (any StreamDriver)?

    /// - Parameters:
    ///   - patience: how long the header may take, in nanoseconds.
    ///   - enter: makes the driver that follows, when the stream's peer is the client; `nil`: the client is refused.
    init(_ stream: StreamConnection, patience: Int64, _ enter: @escaping (StreamConnection) -> (any StreamDriver)?) {
        self.stream = stream
        self.enter = enter
        stream.setDeadline(stream.reactor.now.advanced(byNanoseconds: patience))
    }

    func received(_ bytes: UnsafeMutableRawBufferPointer) -> Int {
        let bytes = UnsafeRawBufferPointer(bytes)
        do throws(ProxyHeader.Mistake) {
            guard let found = try unsafe ProxyHeader.parse(bytes) else { return 0 }
            if let source = found.source { stream.appear(as: source) }
            stream.setDeadline(nil)
            guard let driver = enter(stream) else {
                stream.reset()
                return bytes.count
            }
            stream.driver = driver
            // What follows is encrypted, and not for the driver to see; where it is not, the driver gets it as it came.
            guard let tls = stream.tls else { return found.byteCount }
            let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[found.byteCount...])
            if unsafe !rest.isEmpty { unsafe stream.received(rest, through: tls) }
            return bytes.count
        } catch {
            stream.reactor.counters.badProxyHeaders.add(1)
            stream.reset()
            return bytes.count
        }
    }

    func receivedEnd() { stream.reset() }
    func deadlinePassed() {
        stream.reactor.counters.badProxyHeaders.add(1)
        stream.reset()
    }
    func fellBehind() {}
    func drained() {}
    func overflowed() { stream.reset() }
    func closed() {}
}
