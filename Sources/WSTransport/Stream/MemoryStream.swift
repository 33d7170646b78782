internal import Synchronization

/// A stream over memory: what is written is appended, what is read is taken from the cursor on.
///
/// Any thread.
public final class MemoryStream: ByteStream {
    private struct State {
        var bytes: [UInt8]
        var position = 0
        var isClosed = false
    }

    private let state: Mutex<State>

    /// A stream whose first bytes to be read are `bytes`.
    public init(_ bytes: [UInt8] = []) { state = Mutex(State(bytes: bytes)) }

    /// Everything that was ever written, with the bytes it began with.
    public var bytes: [UInt8] { state.withLock { $0.bytes } }

    /// Lets the next read begin at the first byte again.
    public func rewind() { state.withLock { $0.position = 0 } }

    /// Returns bytes from the cursor on; `nil` at the end, which more writing moves.
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

    /// Does nothing: there is nothing behind the memory.
    public func flush() {}

    /// Ends the stream; what was written can still be seen in ``bytes``.
    public func close() { state.withLock { $0.isClosed = true } }
}
