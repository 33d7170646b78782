/// A message as it has just been received; valid only during the call that hands it over.
@safe struct ReceivedBytes: Sendable {
    let type: Opcode
    // Only that call uses them.
    nonisolated(unsafe) fileprivate let bytes: UnsafeRawBufferPointer
    let isCompressed: Bool

    @inline(__always)
    init(_ type: Opcode, _ bytes: UnsafeRawBufferPointer, isCompressed: Bool) {
        self.type = type
        unsafe self.bytes = bytes
        self.isCompressed = isCompressed
    }

    /// Whether it can wait in a ``ReceivedQueue`` without being an object.
    var isSmall: Bool { unsafe bytes.count <= MessageBody.maximumInPlace }

    /// What counts as held while it waits, in bytes.
    var held: Int { unsafe bytes.count + SocketCore.overhead }

    /// The message, as `core` has received it.
    @inline(__always)
    func message(of core: SocketCore) -> WebSocketMessage {
        unsafe WebSocketMessage(
            type, copying: bytes, masked: !core.isClient, compress: isCompressed, stream: core, held: held)
    }

    /// The same for a small one; `spare` becomes that message if there is one, to which only the caller refers.
    @inline(__always)
    func message(of core: SocketCore, reusing spare: WebSocketMessage?) -> WebSocketMessage {
        guard let spare else { return message(of: core) }
        unsafe spare.become(
            type, copying: bytes, masked: !core.isClient, compress: isCompressed, stream: core, held: held)
        return spare
    }
}

extension Remote {
    /// A small message that `core` has received; becomes the one that was kept, if there is one.
    ///
    /// Called on the reactor's thread.
    @inline(__always)
    func message(from arrival: ReceivedBytes, to core: SocketCore) -> WebSocketMessage {
        // Only the next function keeps one.
        let kept = unsafe spare.take().map { unsafe unsafeDowncast($0, to: WebSocketMessage.self) }
        return arrival.message(of: core, reusing: kept)
    }

    /// Keeps `message`, to which nothing else refers, if the caller is on the reactor's thread.
    func keep(_ message: consuming WebSocketMessage) {
        guard isCurrentThread else { return }
        message.empty()
        unsafe spare = message
    }
}

extension WebSocketMessage {
    /// Whether a connection received it with a body so small that it may become another message.
    @usableFromInline var isSmall: Bool { 1...SocketCore.overhead + MessageBody.maximumInPlace ~= held }
}

/// Received messages that wait for a reader, oldest first.
///
/// A small message is made an object only when it is taken: then the allocator has the memory of the one before at
/// hand. Its bytes wait in a ring, because each message passes through it, and an array of values that count references
/// would cost several times as much.
@safe final class ReceivedQueue {
    /// One message.
    @safe private struct Place {
        // First, so that its address is that of the place.
        var bytes: MessageBody.Room
        /// The message if it has been made, with a reference of its own; then the rest is not used.
        var made: Unmanaged<WebSocketMessage>?
        var count: UInt8
        var type: UInt8
        var isCompressed: Bool
    }

    // Unchecked, because the socket's lock guards them.
    @exclusivity(unchecked) private var ring: UnsafeMutablePointer<Place>
    /// The number of places, a power of two.
    @exclusivity(unchecked) private var capacity = 16
    @exclusivity(unchecked) private var first = 0
    @exclusivity(unchecked) private var count = 0

    init() { unsafe ring = .allocate(capacity: capacity) }

    deinit {
        while unsafe count > 0 {
            unsafe ring[first].made?.release()
            dropFirst()
        }
        unsafe ring.deallocate()
    }

    var isEmpty: Bool { unsafe count == 0 }

    /// Adds a message that is small.
    @inline(__always)
    func append(_ arrival: ReceivedBytes) {
        let bytes = unsafe arrival.bytes
        let place = unsafe next()
        unsafe place.pointee.made = nil
        unsafe place.pointee.count = UInt8(truncatingIfNeeded: bytes.count)
        unsafe place.pointee.type = arrival.type.rawValue
        unsafe place.pointee.isCompressed = arrival.isCompressed
        guard let start = bytes.baseAddress else { return }
        unsafe UnsafeMutableRawPointer(place).copyMemory(from: start, byteCount: bytes.count)
    }

    /// Adds a message that has been made.
    func append(_ message: WebSocketMessage) { unsafe next().pointee.made = .passRetained(message) }

    /// Adds a message that has been made, before all others.
    func prepend(_ message: WebSocketMessage) {
        if unsafe count == capacity { grow() }
        unsafe first = (first &- 1) & (capacity &- 1)
        unsafe count &+= 1
        unsafe ring[first].made = .passRetained(message)
    }

    /// Removes and returns the oldest message, as one that `core` has received; `nil` if there is none.
    ///
    /// - Parameter spare: a message to which only the caller refers: becomes this one if that is small.
    @inline(__always)
    func popFirst(of core: SocketCore, reusing spare: WebSocketMessage? = nil) -> WebSocketMessage? {
        guard unsafe count > 0 else { return nil }
        let place = unsafe ring + first
        dropFirst()
        if let made = unsafe place.pointee.made { return unsafe made.takeRetainedValue() }
        let bytes = unsafe UnsafeRawBufferPointer(start: place, count: Int(place.pointee.count))
        let arrival = unsafe ReceivedBytes(
            Opcode(rawValue: place.pointee.type), bytes, isCompressed: place.pointee.isCompressed)
        return arrival.message(of: core, reusing: spare)
    }

    @inline(__always)
    private func dropFirst() {
        unsafe first = (first &+ 1) & (capacity &- 1)
        unsafe count &-= 1
    }

    /// The place after the newest message, which is counted as one.
    @inline(__always)
    private func next() -> UnsafeMutablePointer<Place> {
        if unsafe count == capacity { grow() }
        let place = unsafe ring + (first &+ count) & (capacity &- 1)
        unsafe count &+= 1
        return unsafe place
    }

    private func grow() {
        let larger = unsafe UnsafeMutablePointer<Place>.allocate(capacity: capacity * 2)
        let upToEnd = unsafe min(count, capacity - first)
        unsafe larger.moveInitialize(from: ring + first, count: upToEnd)
        unsafe (larger + upToEnd).moveInitialize(from: ring, count: count - upToEnd)
        unsafe ring.deallocate()
        unsafe ring = larger
        unsafe capacity *= 2
        unsafe first = 0
    }
}
