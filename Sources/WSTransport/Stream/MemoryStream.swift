internal import Synchronization

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
