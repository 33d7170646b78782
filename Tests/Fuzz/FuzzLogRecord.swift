// fuzz: Sources/Broker/Cluster Sources/Broker/Engine Sources/Broker/RESP Sources/Broker/Exchange Sources/Broker/Access Sources/Broker/JSON Sources/Broker/Topics
// modules: WSTransport Cryptography

// Any bytes are a record or a mistake; a record that is written again is the same bytes. The first byte says whether the rest
// gets a digest that fits.

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
        precondition(LogRecord.bytes(record.head, record.drafts.span) == bytes, "not what was read")
    } catch {
        if case .malformed(let text, let offset) = error {
            precondition(!text.isEmpty && (0...bytes.count).contains(offset), "a mistake outside the input")
        }
    }
}
