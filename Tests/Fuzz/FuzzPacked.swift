// fuzz: Sources/Broker/Topics Sources/Broker/JSON Sources/Broker/MessagePack

// Any bytes are a command of `broker.v1.msgpack`, which is JSON then, or an error at a byte of theirs; what is read and
// written again is the same. Any JSON can be written, and is read as the same.

#if canImport(Broker)
    @testable import Broker
#endif

private func packed(_ json: [UInt8]) -> [UInt8]? {
    var writer = PackedWriter()
    writer.bool(true)
    guard writer.value(json: json.span) else {
        precondition(writer.bytes == [0xC3], "output for invalid JSON")
        return nil
    }
    return Array(writer.bytes.dropFirst())
}

func fuzzPacked(_ input: [UInt8]) {
    do throws(PackedError) {
        let json = try PackedReader.json(of: input.span)
        precondition(JSONScanner.validate(json.span), "a command that is no JSON")
        guard let again = packed(json) else { preconditionFailure("JSON that cannot be written") }
        precondition((try? PackedReader.json(of: again.span)) == json, "not what was written")
    } catch {
        precondition((0...input.count).contains(error.offset), "an error outside the input")
        precondition(!error.text.isEmpty, "an error without words")
    }
    let isJSON = JSONScanner.validate(input.span)
    let written = packed(input)
    precondition(!isJSON || written != nil, "JSON that cannot be written")
    if isJSON, input.first == UInt8(ascii: "{"), let written, let json = try? PackedReader.json(of: written.span) {
        precondition(packed(json) == written, "not what was read")
    }
}
