/// The body of a message; an array, or a few bytes in place.
///
/// Most messages are small, and for those an array would cost more than the rest of the message.
struct MessageBody: Sendable {
    typealias Room = (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)
    private var inPlace: Room = (0, 0, 0, 0, 0, 0, 0, 0)
    private var elsewhere: [UInt8]?
    /// The number of bytes in place; negative if there are none, because the body is elsewhere or absent.
    private var inPlaceCount: Int8 = -1

    /// Makes an absent body, which has no bytes either.
    init() {}

    init(_ bytes: [UInt8]) { elsewhere = bytes }

    /// Copies `bytes` into an absent body.
    @inline(__always)
    mutating func fill(_ bytes: UnsafeRawBufferPointer) {
        if bytes.count <= Self.maximumInPlace {
            inPlaceCount = Int8(truncatingIfNeeded: bytes.count)
            unsafe withUnsafeMutableBytes(of: &inPlace) { unsafe $0.copyMemory(from: bytes) }
        } else {
            elsewhere = unsafe Array(bytes)
        }
    }

    /// Replaces the body by a copy of `bytes`, at most as many as there is room for in place.
    @inline(__always)
    mutating func refill(_ bytes: UnsafeRawBufferPointer) {
        if elsewhere != nil { elsewhere = nil }
        inPlaceCount = Int8(truncatingIfNeeded: bytes.count)
        unsafe withUnsafeMutableBytes(of: &inPlace) { unsafe $0.copyMemory(from: bytes) }
    }

    /// Makes it absent, without what it refers to.
    mutating func empty() {
        if elsewhere != nil { elsewhere = nil }
        inPlaceCount = -1
    }

    /// The maximum number of bytes in place.
    static var maximumInPlace: Int { MemoryLayout<Room>.size }

    var isAbsent: Bool { inPlaceCount < 0 && elsewhere == nil }

    var count: Int { inPlaceCount < 0 ? elsewhere?.count ?? 0 : Int(inPlaceCount) }

    @inline(__always)
    func withBytes<Outcome>(_ body: (UnsafeRawBufferPointer) -> Outcome) -> Outcome {
        guard inPlaceCount < 0 else {
            return unsafe withUnsafeBytes(of: inPlace) {
                unsafe body(UnsafeRawBufferPointer(rebasing: $0[..<Int(inPlaceCount)]))
            }
        }
        guard let elsewhere else { return unsafe body(UnsafeRawBufferPointer(start: nil, count: 0)) }
        return unsafe elsewhere.withUnsafeBytes { unsafe body($0) }
    }

    /// The same without a copy of bytes in place.
    @inline(__always)
    mutating func withOwnBytes<Outcome>(_ body: (UnsafeRawBufferPointer) -> Outcome) -> Outcome {
        let count = Int(inPlaceCount)
        guard count >= 0 else { return unsafe withBytes(body) }
        return unsafe withUnsafeMutableBytes(of: &inPlace) {
            unsafe body(UnsafeRawBufferPointer(start: $0.baseAddress, count: count))
        }
    }

    /// The bytes as an array, which is kept for the next call; `nil` if the body is absent.
    var array: [UInt8]? {
        mutating get {
            if inPlaceCount >= 0 {
                elsewhere = unsafe withBytes { unsafe Array($0) }
                inPlaceCount = -1
            }
            return elsewhere
        }
    }

    /// The bytes as text; invalid UTF-8 is shown as replacement characters.
    var text: String { unsafe withBytes { unsafe String(decoding: $0, as: UTF8.self) } }

    mutating func append(_ bytes: [UInt8]) {
        guard array != nil else { return elsewhere = bytes }
        elsewhere?.append(contentsOf: bytes)
    }
}
