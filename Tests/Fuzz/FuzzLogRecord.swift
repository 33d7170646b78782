// fuzz: Sources/Broker/Cluster Sources/Broker/Engine Sources/Broker/RESP Sources/Broker/Exchange Sources/Broker/Access Sources/Broker/JSON Sources/Broker/Topics
// modules: WSTransport Cryptography

// Any bytes are a record or a mistake. A record that is written again is the same bytes; one in the brief format, which may be in
// several parts, is so from the second time on. The first byte says whether the rest gets a digest that fits.

#if canImport(Broker)
    @testable import Broker
#endif

func fuzzLogRecord(_ input: [UInt8]) {
    guard let first = input.first else { return }
    var bytes = Array(input.dropFirst())
    if first & 1 == 1, bytes.count >= 58 { bytes.appendBigEndian(LogRecord.digest(of: bytes.span)) }
    do throws(LogRecord.Mistake) {
        let record = try LogRecord(bytes.span)
        precondition(record.drafts.count < bytes.count, "more messages than bytes")
        let written = LogRecord.bytes(record.head, record.drafts.span, in: record.format)
        let again = try LogRecord(written.span)
        precondition(written.count <= bytes.count, "longer than what was read")
        precondition(record.format == .brief || written == bytes, "not what was read")
        let third = LogRecord.bytes(again.head, again.drafts.span, in: again.format)
        precondition(third == written, "not what was written")
    } catch {
        if case .malformed(let text, let offset) = error {
            precondition(!text.isEmpty && (0...bytes.count).contains(offset), "a mistake outside the input")
        }
    }
}
