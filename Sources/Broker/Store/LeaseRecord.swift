// What is to become of an ephemeral value at the end of its publisher: its grace (8 bytes, little-endian, in milliseconds), the
// kind of its farewell (1 byte; 0: it has none), the length of that content type (2 bytes; 0xFFFF: it has none), the content
// type, and the payload.

/// A lease as it is stored, by the brokers of a cluster.
enum LeaseRecord {
    private static let headLength = 11
    private static let noType = UInt16.max

    /// The record of `lease`; `nil` if there is nothing in it.
    static func bytes(of lease: Lease) -> [UInt8]? {
        guard !lease.isUsual else { return nil }
        var bytes: [UInt8] = []
        bytes.appendLittleEndian(UInt64(bitPattern: lease.grace))
        bytes.append(lease.farewell?.kind.rawValue ?? 0)
        // Longer ones cannot be sent.
        let type = lease.farewell?.contentType.map { Array($0.utf8.prefix(Int(noType) - 1)) }
        bytes.appendLittleEndian(type.map { UInt16($0.count) } ?? noType)
        return bytes + (type ?? []) + (lease.farewell?.payload ?? [])
    }

    /// Reads a record; `nil` if it is malformed.
    static func lease(_ bytes: Span<UInt8>) -> Lease? {
        guard bytes.count >= headLength else { return nil }
        let grace = Int64(bitPattern: bytes.littleEndian(UInt64.self, at: 0))
        guard (0...Lease.maximumGrace).contains(grace) else { return nil }
        guard bytes[8] != 0 else { return Lease(grace: grace) }
        let length = bytes.littleEndian(UInt16.self, at: 9)
        let end = headLength + (length == noType ? 0 : Int(length))
        guard let kind = Message.Kind(rawValue: bytes[8]), end < bytes.count else { return nil }
        var type: String?
        if length != noType {
            guard let text = String(validating: bytes.array(headLength..<end), as: UTF8.self) else { return nil }
            type = text
        }
        return Lease(
            grace: grace,
            farewell: Lease.Farewell(payload: bytes.array(end..<bytes.count), kind: kind, contentType: type))
    }
}
