/// One publication, the same for every subscriber and endpoint.
///
/// All of it is one piece of memory, made when the publication arrives: the properties, and then the payload. A copy
/// refers to the same memory. Once it has a number it never changes, so every reactor may hold it.
@safe package struct Message: Sendable {
    /// The WebSocket opcode a payload travels in.
    package enum Kind: UInt8, Sendable {
        case text = 1
        case binary = 2
        /// Text that was published as a JSON value and is delivered as one; on a topic socket it is ``text``.
        case json = 3
    }

    /// The kinds of messages that need special treatment, and plain ones.
    package enum Nature: UInt8, Sendable {
        case plain
        /// The broker removes a retained value with it, because the value has expired.
        case expiry
        /// Sets or removes an ephemeral value, which never goes to disk.
        case ephemeral
        /// Removes an ephemeral value, although it has a payload.
        case farewell
    }

    /// The properties, which the payload follows.
    fileprivate struct Head {
        let topic: Topic
        var contentType: String?
        var properties: MessageProperties?
        var origin: UInt64
        /// The place in this broker's order; 0 if it has none yet.
        var seq: UInt64
        var number: UInt64
        var time: Int64
        var expiry: Int64
        /// The length of the payload, in bytes.
        let count: Int
        var kind: Kind
        var isRetained: Bool
        var nature: Nature
    }

    fileprivate final class Memory: ManagedBuffer<Head, UInt8> {}

    // Set before any other code has the message, and never afterwards.
    nonisolated(unsafe) fileprivate private(set) var memory: Memory

    @inline(__always)
    fileprivate init(_ head: Head, _ payload: UnsafeRawBufferPointer) {
        let made = Memory.create(minimumCapacity: payload.count) { _ in head }
        unsafe memory = unsafeDowncast(made, to: Memory.self)
        guard let first = payload.baseAddress, payload.count > 0 else { return }
        unsafe memory.withUnsafeMutablePointerToElements { place in
            unsafe UnsafeMutableRawPointer(place).copyMemory(from: first, byteCount: payload.count)
        }
    }

    /// Makes a message with a copy of the payload.
    ///
    /// - Parameters:
    ///   - seq: 0 until it has a place.
    ///   - number: the number by which clients know it; `nil` for the same as its place.
    @inline(__always)
    package init(
        topic: Topic, payload: Span<UInt8>, kind: Kind, contentType: String? = nil,
        properties: MessageProperties? = nil, isRetained: Bool = false, seq: UInt64, number: UInt64? = nil,
        time: Int64, expiry: Int64 = 0, origin: UInt64 = 0, nature: Nature = .plain
    ) {
        let head = Head(
            topic: topic, contentType: contentType, properties: properties, origin: origin, seq: seq,
            number: number ?? seq, time: time, expiry: expiry, count: payload.count, kind: kind,
            isRetained: isRetained, nature: nature)
        self = unsafe payload.withUnsafeBytes { unsafe Message(head, $0) }
    }

    /// Makes a message with a copy of the payload.
    package init(
        topic: Topic, payload: [UInt8], kind: Kind, contentType: String? = nil,
        properties: MessageProperties? = nil, isRetained: Bool = false, seq: UInt64, number: UInt64? = nil,
        time: Int64, expiry: Int64 = 0, origin: UInt64 = 0, nature: Nature = .plain
    ) {
        self.init(
            topic: topic, payload: payload.span, kind: kind, contentType: contentType, properties: properties,
            isRetained: isRetained, seq: seq, number: number, time: time, expiry: expiry, origin: origin,
            nature: nature)
    }
}

// MARK: Properties

extension Message {
    // Each property reads its part in place: a copy of the whole head would count references.
    package var topic: Topic { unsafe memory.withUnsafeMutablePointerToHeader { unsafe $0.pointee.topic } }
    package var kind: Kind { unsafe memory.withUnsafeMutablePointerToHeader { unsafe $0.pointee.kind } }
    /// The content type as the publisher gave it.
    package var contentType: String? {
        unsafe memory.withUnsafeMutablePointerToHeader { unsafe $0.pointee.contentType }
    }
    /// The other properties from the publisher; `nil` if there are none.
    package var properties: MessageProperties? {
        unsafe memory.withUnsafeMutablePointerToHeader { unsafe $0.pointee.properties }
    }
    /// Whether this replaces (or, with an empty payload, removes) the topic's retained value.
    package var isRetained: Bool { unsafe memory.withUnsafeMutablePointerToHeader { unsafe $0.pointee.isRetained } }
    /// Its place in this broker's order, which is known nowhere else.
    package var seq: UInt64 { unsafe memory.withUnsafeMutablePointerToHeader { unsafe $0.pointee.seq } }
    /// The number by which clients and other brokers know it: ``seq``, unless several logs give the order.
    package var number: UInt64 { unsafe memory.withUnsafeMutablePointerToHeader { unsafe $0.pointee.number } }
    /// When the broker accepted it, in Unix milliseconds.
    package var time: Int64 { unsafe memory.withUnsafeMutablePointerToHeader { unsafe $0.pointee.time } }
    /// When it expires, retained or not, in Unix milliseconds; 0 if never.
    package var expiry: Int64 { unsafe memory.withUnsafeMutablePointerToHeader { unsafe $0.pointee.expiry } }
    /// The ``Client/id`` of its publisher; 0 if it is no client or not known, as for a retained value from the disk.
    package var origin: UInt64 { unsafe memory.withUnsafeMutablePointerToHeader { unsafe $0.pointee.origin } }
    /// Its nature; ``Nature/plain`` for nearly all messages.
    package var nature: Nature { unsafe memory.withUnsafeMutablePointerToHeader { unsafe $0.pointee.nature } }

    package var payload: Payload { unsafe Payload(memory) }

    /// The length of the payload, in bytes.
    package var payloadCount: Int { unsafe memory.withUnsafeMutablePointerToHeader { unsafe $0.pointee.count } }

    /// Whether it removes the topic's retained value.
    package var isRemoval: Bool { isRetained && (payloadCount == 0 || nature == .farewell) }

    /// Whether the broker removes a retained value with it, because the value has expired.
    package var isExpiry: Bool { nature == .expiry }

    /// Whether it sets or removes an ephemeral value.
    package var isEphemeral: Bool { nature.rawValue >= Nature.ephemeral.rawValue }

    /// Its weight for limits and pieces, in bytes: its content and an overhead.
    package var weight: Int {
        unsafe memory.withUnsafeMutablePointerToHeader { head in
            unsafe Self.overhead &+ head.pointee.count &+ head.pointee.topic.name.utf8.count
                &+ (head.pointee.contentType?.utf8.count ?? 0) &+ (head.pointee.properties?.weight ?? 0)
        }
    }

    private static var overhead: Int { 128 }

    /// Whether it had expired at `now`, in Unix milliseconds.
    package func isExpired(at now: Int64) -> Bool { Self.isExpired(expiry, at: now) }

    /// The same for a message whose ``expiry`` is known.
    package static func isExpired(_ expiry: Int64, at now: Int64) -> Bool { expiry != 0 && expiry <= now }
}

// MARK: Changes

extension Message {
    /// Gives it its place and number, time, expiry and nature.
    ///
    /// A message that already has a number, because its draft was used twice, is copied.
    @inline(__always)
    func numbered(
        _ seq: UInt64, number: UInt64, at time: Int64, expiry: Int64 = 0, nature: Nature = .plain
    ) -> Message {
        let message = self.seq == 0 ? self : copied()
        unsafe message.memory.withUnsafeMutablePointerToHeader { head in
            unsafe head.pointee.seq = seq
            unsafe head.pointee.number = number
            unsafe head.pointee.time = time
            unsafe head.pointee.expiry = expiry
            unsafe head.pointee.nature = nature
        }
        return message
    }

    /// The same message in memory of its own.
    @inline(never)
    private func copied() -> Message {
        let head = unsafe memory.withUnsafeMutablePointerToHeader { unsafe $0.pointee }
        return unsafe payload.withUnsafeBytes { unsafe Message(head, $0) }
    }

    /// Changes its head, in memory of its own.
    private mutating func change(_ body: (inout Head) -> Void) {
        if unsafe !isKnownUniquelyReferenced(&memory) { self = copied() }
        unsafe memory.withUnsafeMutablePointerToHeader { unsafe body(&$0.pointee) }
    }

    // For drafts, which are changed before they have a number.
    mutating func set(kind: Kind) { change { $0.kind = kind } }
    mutating func set(contentType: String?) { change { $0.contentType = contentType } }
    mutating func set(properties: MessageProperties?) { change { $0.properties = properties } }
    mutating func set(isRetained: Bool) { change { $0.isRetained = isRetained } }
    mutating func set(origin: UInt64) { change { $0.origin = origin } }
    mutating func set(nature: Nature) { change { $0.nature = nature } }
    // For values that are shown again.
    mutating func set(expiry: Int64) { change { $0.expiry = expiry } }
    mutating func set(seq: UInt64, number: UInt64) { change { ($0.seq, $0.number) = (seq, number) } }
}

// MARK: Payload

extension Message {
    /// The payload, in the message's memory.
    @safe package struct Payload: RandomAccessCollection, Hashable, Sendable {
        nonisolated(unsafe) private let memory: Memory

        @inline(__always)
        fileprivate init(_ memory: Memory) { unsafe self.memory = memory }

        package var startIndex: Int { 0 }
        package var endIndex: Int { unsafe memory.withUnsafeMutablePointerToHeader { unsafe $0.pointee.count } }
        package var count: Int { endIndex }
        package var isEmpty: Bool { endIndex == 0 }

        package subscript(index: Int) -> UInt8 {
            precondition(UInt(bitPattern: index) < UInt(bitPattern: count), "there is no such byte")
            return unsafe memory.withUnsafeMutablePointerToElements { unsafe $0[index] }
        }

        /// Passes the bytes to `body`.
        @inline(__always)
        package func withUnsafeBytes<Result, Failure: Error>(
            _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
        ) throws(Failure) -> Result {
            try unsafe memory.withUnsafeMutablePointers { (head, elements) throws(Failure) -> Result in
                try unsafe body(UnsafeRawBufferPointer(start: elements, count: head.pointee.count))
            }
        }

        /// The bytes, as long as it exists.
        package var span: Span<UInt8> {
            @_lifetime(borrow self)
            get {
                let bytes = unsafe memory.withUnsafeMutablePointers { (head, elements) in
                    unsafe UnsafeBufferPointer(start: elements, count: head.pointee.count)
                }
                return unsafe _overrideLifetime(Span(_unsafeElements: bytes), borrowing: self)
            }
        }

        /// A copy of the bytes.
        package var array: [UInt8] { unsafe withUnsafeBytes { unsafe [UInt8]($0) } }

        package func withContiguousStorageIfAvailable<Result>(
            _ body: (UnsafeBufferPointer<UInt8>) throws -> Result
        ) rethrows -> Result? {
            try unsafe memory.withUnsafeMutablePointers { (head, elements) in
                try unsafe body(UnsafeBufferPointer(start: elements, count: head.pointee.count))
            }
        }

        package static func == (left: Payload, right: Payload) -> Bool {
            left.span.hasSameBytes(as: right.span)
        }

        package func hash(into hasher: inout Hasher) { hasher.combine(bytes: span) }
    }
}
