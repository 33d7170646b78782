internal import FoundationEssentials

// Foundation types whose own encoding would be of no use to other languages.

extension Data: MessagePackPrimitive {
    func write(to writer: inout MessagePackWriter, levels: Int) throws(MessagePackFault) {
        try writer.write(binary: Array(self))
    }

    static func read(_ item: MessagePackItem) throws(MessagePackFault) -> Data? {
        switch item.header.kind {
        case .binary: return Data(item.content)
        case .array: return nil
        default: throw item.mismatch("a bin")
        }
    }
}

/// A timestamp, to the nanosecond.
extension Date: MessagePackPrimitive {
    /// From 1970 to 2001, the beginning of Foundation's count.
    private static let referenceSeconds = 978_307_200.0

    func write(to writer: inout MessagePackWriter, levels: Int) throws(MessagePackFault) {
        let whole = self.timeIntervalSinceReferenceDate.rounded(.down)
        let nanoseconds = ((timeIntervalSinceReferenceDate - whole) * 1e9).rounded()
        let carries = nanoseconds >= 1e9
        guard let seconds = Int64(exactly: whole + Self.referenceSeconds + (carries ? 1 : 0)) else {
            let interval = timeIntervalSinceReferenceDate
            var fault = MessagePackFault("The date \(interval) s after 2001 fits in no timestamp.")
            // Foundation cannot describe such a date, and traps when it tries.
            fault.shown = interval
            throw fault
        }
        let timestamp = MessagePackTimestamp(seconds: seconds, nanoseconds: carries ? 0 : UInt32(nanoseconds))
        try timestamp.write(to: &writer, levels: levels)
    }

    static func read(_ item: MessagePackItem) throws(MessagePackFault) -> Date? {
        guard let timestamp = try MessagePackTimestamp.read(item) else { return nil }
        // Beyond this the type cannot represent single seconds.
        guard timestamp.seconds.magnitude <= 1 << 53 else { throw item.misfit(Date.self) }
        return Date(
            timeIntervalSinceReferenceDate: Double(timestamp.seconds) - referenceSeconds
                + Double(timestamp.nanoseconds) / 1e9)
    }
}

/// Text.
extension URL: MessagePackPrimitive {
    func write(to writer: inout MessagePackWriter, levels: Int) throws(MessagePackFault) {
        try writer.write(absoluteString)
    }

    static func read(_ item: MessagePackItem) throws(MessagePackFault) -> URL? {
        guard let text = try String.read(item) else { return nil }
        guard let url = URL(string: text) else { throw MessagePackFault(at: item.header.start, "no URL: \(text)") }
        return url
    }
}
