/// The first driver of a connection from a proxy: it waits for the proxy's header, then lets the client in.
///
/// The header comes before TLS. Runs on the reactor's thread.
final class ProxyPreface: StreamDriver {
    private unowned let stream: StreamConnection
    private let enter: (StreamConnection) -> (any StreamDriver)?

    /// - Parameters:
    ///   - patience: how long the header may take, in nanoseconds.
    ///   - enter: makes the next driver, after the stream's peer has been set to the client; `nil`: the client is
    ///     refused.
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
            // Bytes after the header are encrypted if there is TLS, and must not reach the driver; otherwise the driver
            // gets them unchanged.
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
