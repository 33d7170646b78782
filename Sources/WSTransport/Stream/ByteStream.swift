/// Bytes both ways, in order: a connection after its handshake, or memory.
///
/// One task at a time reads and one writes.
public protocol ByteStream: AnyObject, Sendable {
    /// Waits for bytes and returns some of them, at least one; `nil` when no more will come.
    ///
    /// - Parameter maximum: the most bytes to return, at least 1; `nil`: as many as are available.
    func read(_ maximum: Int?) async throws -> [UInt8]?

    /// Writes all of `bytes`, waiting while too much is unsent.
    ///
    /// A connection's throws `CancellationError` where the task is cancelled; the bytes may be sent all the same.
    func write(_ bytes: [UInt8]) async throws

    /// Waits until the system has taken everything that was written.
    func flush() async throws

    /// Ends the stream in both directions.
    func close() async
}

extension ByteStream {
    /// Waits for bytes and returns all that are available; `nil` when no more will come.
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
    /// Throws ``WS/Error/endOfStream`` if the stream ends before.
    func readExactly(_ count: Int) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            guard let part = try await read(count - bytes.count) else { throw WS.Error.endOfStream }
            bytes += part
        }
        return bytes
    }
}
