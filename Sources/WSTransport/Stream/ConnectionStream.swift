internal import Synchronization

/// The bytes of a connection without a protocol: what ``WS/connect(_:origin:options:)`` returns.
///
/// If nothing is read, the peer has to wait; if the peer does not read, writers wait. Closed when nothing
/// refers to it any more. Any thread.
final class ConnectionStream: ByteStream {
    private let link: ReactorLink
    private let inbox: ByteInbox

    /// Takes over `stream`; its reactor's thread.
    init(_ stream: StreamConnection, limits: ConnectionDriver.Limits) {
        let link = ReactorLink(remote: stream.reactor.remote)
        self.link = link
        inbox = ByteInbox(maximum: limits.held) {
            link.run(with: ConnectionDriver.self) { $0?.stream.resumeReading() }
        }
        let driver = ConnectionDriver(stream: stream, inbox: inbox, limits: limits, link: link)
        stream.driver = driver
        link.bind(driver, on: stream.reactor)
    }

    deinit { link.run(with: ConnectionDriver.self) { $0?.stream.finish() } }

    func read(_ maximum: Int?) async throws -> [UInt8]? { try await inbox.read(maximum) }

    func write(_ bytes: [UInt8]) async throws {
        try await FirstAnswer<Void>.wait { written in
            link.run(with: ConnectionDriver.self) { driver in
                guard let driver else { return written.give(.failure(WS.Error.endOfStream)) }
                if written.isAwaited { driver.send(bytes, written) }
            }
        }
    }

    func flush() async throws {
        try await FirstAnswer<Void>.wait { written in
            link.run(with: ConnectionDriver.self) { driver in
                guard let driver else { return written.give(.failure(WS.Error.endOfStream)) }
                driver.flush(written)
            }
        }
    }

    func close() async {
        link.run(with: ConnectionDriver.self) { $0?.stream.finish() }
        await inbox.waitForEnd()
    }
}
