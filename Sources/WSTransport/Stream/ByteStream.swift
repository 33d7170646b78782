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
