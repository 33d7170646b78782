/// A response that is written piece by piece and then ended.
///
/// Any thread; one task may write at a time.
public final class HTTPResponseStream: Sendable {
    private let link: ReactorLink

    /// Wraps `stream`; called on its reactor's thread.
    init(_ stream: HTTPStream) {
        link = ReactorLink(remote: stream.stream.reactor.remote)
        let writer = StreamWriter(stream, link: link)
        link.bind(writer, on: stream.stream.reactor)
    }

    deinit { link.run(with: StreamWriter.self) { $0?.end() } }

    /// Sends bytes; waits while more than ``HTTPServer/Options/maximumUnsent`` bytes are unsent.
    ///
    /// Throws ``WS/Error/endOfStream`` if the client has disconnected, and `CancellationError` if the task is
    /// cancelled; the bytes may then still be sent.
    public func write(_ bytes: [UInt8]) async throws {
        try await FirstAnswer<Void>.wait { written in
            link.run(with: StreamWriter.self) { writer in
                guard let writer else { return written.give(.failure(WS.Error.endOfStream)) }
                if written.isAwaited { writer.write(bytes, written) }
            }
        }
    }

    /// Sends text as UTF-8.
    public func write(_ text: String) async throws { try await write(Array(text.utf8)) }

    /// Ends the response; the connection may then carry another request.
    public func end() { link.run(with: StreamWriter.self) { $0?.end() } }
}

/// The reactor's side of a stream.
///
/// Runs on the connection's reactor.
private final class StreamWriter {
    private let stream: HTTPStream
    private let link: ReactorLink
    private var waiting: [FirstAnswer<Void>] = []

    init(_ stream: HTTPStream, link: ReactorLink) {
        self.stream = stream
        self.link = link
        stream.onDrained = { [weak self] in self?.release(true) }
        stream.onClosed = { [weak self] in self?.leave() }
    }

    func write(_ bytes: [UInt8], _ written: FirstAnswer<Void>) {
        stream.send(bytes)
        // How much the kernel took at once is known only after this turn.
        stream.stream.reactor.runSoon { [weak self] in
            guard let self, stream.stream.isOpen else { return written.give(.failure(WS.Error.endOfStream)) }
            guard stream.stream.unsentBytes > 0 else { return written.give(.success(())) }
            waiting.append(written)
        }
    }

    func end() {
        stream.end()
        leave()
    }

    private func leave() {
        link.release(on: stream.stream.reactor)
        release(false)
    }

    private func release(_ isTaken: Bool) {
        let writers = waiting
        waiting = []
        for writer in writers { writer.give(isTaken ? .success(()) : .failure(WS.Error.endOfStream)) }
    }
}
