/// Passes a connection's bytes to its inbox and sends bytes of writers.
///
/// Runs on the connection's reactor.
final class ConnectionDriver: StreamDriver {
    typealias Written = FirstAnswer<Void>

    /// How much waits in each direction, in bytes.
    struct Limits: Sendable {
        /// Received and not yet read.
        var held = 1024 * 1024
        /// Written and not yet taken by the system.
        var unsent = 1024 * 1024
    }

    let stream: StreamConnection
    private let inbox: ByteInbox
    private let limits: Limits
    private let link: ReactorLink
    private var writers: [Written] = []
    private var flushers: [Written] = []

    init(stream: StreamConnection, inbox: ByteInbox, limits: Limits, link: ReactorLink) {
        self.stream = stream
        self.inbox = inbox
        self.limits = limits
        self.link = link
        stream.maximumUnsent = .max
    }

    /// Sends `bytes`; calls `written` when there is room for more.
    func send(_ bytes: [UInt8], _ written: Written) {
        guard stream.isOpen else { return written.give(.failure(WS.Error.endOfStream)) }
        stream.send(bytes)
        // How much the kernel took at once is known only after this turn.
        stream.reactor.runSoon { [self] in
            guard stream.isOpen, stream.unsentBytes > limits.unsent else {
                return written.give(.success(()))
            }
            writers.append(written)
        }
    }

    /// Calls `written` when nothing is unsent any more.
    func flush(_ written: Written) {
        stream.reactor.runSoon { [self] in
            guard stream.isOpen, stream.unsentBytes > 0 else { return written.give(.success(())) }
            flushers.append(written)
        }
    }

    func received(_ bytes: UnsafeMutableRawBufferPointer) -> Int {
        if unsafe inbox.append(Array(bytes)) { stream.pauseReading() }
        return bytes.count
    }

    func receivedEnd() {
        inbox.finish()
        stream.finish()
    }

    func deadlinePassed() {}

    func fellBehind() {}

    func overflowed() {}

    func drained() { release(.success(())) }

    func closed() {
        inbox.finish()
        release(.failure(WS.Error.endOfStream))
        link.release(on: stream.reactor)
    }

    private func release(_ result: Result<Void, any Error>) {
        let waiting = writers + flushers
        writers = []
        flushers = []
        for one in waiting { one.give(result) }
    }
}
