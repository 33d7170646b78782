internal import WSTransport

extension RetainedExportRequest: AnsweredRequest {
    /// A page ends after this many values or bytes of payload.
    private static let pieceRows = 1000
    private static let pieceBytes = 1 << 20

    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal) {
        let filter = try caller.desk.filter(filter) ?? .everything
        var values: [RetainedValue] = []
        var bytes = 0
        var last: Topic?
        caller.desk.scan(filter, after: after.flatMap { storedTopic(Array($0.utf8)) }) { message in
            values.append(
                RetainedValue { writer in
                    writer.member("kind", message.kind.administrativeName)
                    if message.expiry != 0 { writer.member("expires", message.expiry) }
                    message.writeExactly(to: &writer)
                })
            bytes += message.payload.count
            last = message.topic
            return values.count < Self.pieceRows && bytes < Self.pieceBytes
        } then: { end in
            then(end.map { isFinished in Answer(values: values, next: isFinished ? nil : last?.name) })
        }
    }
}

extension Message {
    /// Writes the members of a message with its exact data bytes, in a line no longer than base64 would make it.
    func writeExactly(to writer: inout JSONWriter) {
        let isAsItIs =
            switch kind {
            case .binary: true
            // A line end in the data would be printed as a space, and white space around a value is not part of it.
            case .json: !payload.contains { $0 == 10 || $0 == 13 } && !Self.hasOuterSpace(payload)
            case .text: Self.lengthAsString(payload) <= payload.count / 3 * 4 + 4
            }
        var bytes = self
        if !isAsItIs { bytes.set(kind: .binary) }
        MessageObject.write(value: bytes, to: &writer)
    }

    private static func hasOuterSpace(_ json: some BidirectionalCollection<UInt8>) -> Bool {
        let spaces: [UInt8] = [UInt8(ascii: " "), UInt8(ascii: "\t")]
        return [json.first, json.last].contains { $0.map(spaces.contains) ?? false }
    }

    private static func lengthAsString(_ text: some Sequence<UInt8>) -> Int {
        text.reduce(2) { length, byte in
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): length + 2
            case 0..<0x20: length + 6
            default: length + 1
            }
        }
    }
}

extension Message.Kind {
    /// The kind's name for administrators.
    var administrativeName: String {
        switch self {
        case .text: "text"
        case .json: "json"
        case .binary: "binary"
        }
    }
}
