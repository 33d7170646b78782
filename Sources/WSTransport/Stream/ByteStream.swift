internal import Synchronization

/// A bidirectional stream of bytes: a connection after its handshake, or memory.
///
/// One task at a time may read, and one may write.
public protocol ByteStream: AnyObject, Sendable {
    /// Waits for bytes and returns at least one; `nil` at the end of the stream.
    ///
    /// - Parameter maximum: the maximum number of bytes, at least 1; `nil` for all that are available.
    func read(_ maximum: Int?) async throws -> [UInt8]?

    /// Writes all of `bytes`; waits while too many bytes are unsent.
    ///
    /// A connection throws `CancellationError` if the task is cancelled; the bytes may then still be sent.
    func write(_ bytes: [UInt8]) async throws

    /// Waits until the system has accepted everything that was written.
    func flush() async throws

    /// Closes the stream in both directions.
    func close() async
}

extension ByteStream {
    /// Waits for bytes and returns all that are available; `nil` at the end of the stream.
    public func read() async throws -> [UInt8]? { try await read(nil) }

    /// Copies everything that arrives to `other`, until the end; returns the number of bytes.
    @discardableResult
    public func copy(to other: any ByteStream) async throws -> Int {
        var count = 0
        while let bytes = try await read(nil) {
            try await other.write(bytes)
            count += bytes.count
        }
        return count
    }

    /// Waits for exactly `count` bytes.
    ///
    /// Throws ``WS/Error/endOfStream`` if the stream ends first.
    func readExactly(_ count: Int) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            guard let part = try await read(count - bytes.count) else { throw WS.Error.endOfStream }
            bytes += part
        }
        return bytes
    }
}

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

/// A stream in memory: a write appends, a read continues at the read position.
///
/// Any thread.
public final class MemoryStream: ByteStream {
    private struct State {
        var bytes: [UInt8]
        var position = 0
        var isClosed = false
    }

    private let state: Mutex<State>

    /// Creates a stream that contains `bytes`.
    public init(_ bytes: [UInt8] = []) { state = Mutex(State(bytes: bytes)) }

    /// All bytes that were ever written, including the initial ones.
    public var bytes: [UInt8] { state.withLock { $0.bytes } }

    /// Moves the read position to the first byte.
    public func rewind() { state.withLock { $0.position = 0 } }

    /// Returns the bytes at the read position, at least one; `nil` at the end, until more is written.
    public func read(_ maximum: Int?) -> [UInt8]? {
        state.withLock { state in
            let rest = state.bytes.count - state.position
            guard !state.isClosed, rest > 0 else { return nil }
            let count = min(rest, max(1, maximum ?? rest))
            defer { state.position += count }
            return Array(state.bytes[state.position..<state.position + count])
        }
    }

    /// Appends `bytes`.
    ///
    /// Throws ``WS/Error/endOfStream`` after ``close()``.
    public func write(_ bytes: [UInt8]) throws {
        try state.withLock { state in
            guard !state.isClosed else { throw WS.Error.endOfStream }
            state.bytes += bytes
        }
    }

    /// Does nothing: memory needs no flushing.
    public func flush() {}

    /// Closes the stream; ``bytes`` remains readable.
    public func close() { state.withLock { $0.isClosed = true } }
}
