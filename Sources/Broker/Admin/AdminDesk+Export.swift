internal import WSTransport

/// Retained values with their data, a piece at a time.
extension AdminDesk {
    /// A piece ends after this many values or bytes of payload.
    private static let pieceRows = 1000
    private static let pieceBytes = 1 << 20

    /// Answers the next values with all that belongs to them, and where to go on; each value is as stored at its moment.
    func exportRetained(_ question: AdminQuestion, _ then: @escaping Completion) throws(Refusal) {
        let filter = try filter(question) ?? .everything
        var rows: [[UInt8]] = []
        var bytes = 0
        var last: Topic?
        scan(filter, after: question.after.flatMap { storedTopic(Array($0.utf8)) }) { message in
            rows.append(Self.describeWhole(message))
            bytes += message.payload.count
            last = message.topic
            return rows.count < Self.pieceRows && bytes < Self.pieceBytes
        } then: { end in
            then(
                end.map { isFinished in
                    AdminAnswer { writer in
                        writer.name("values")
                        writer.beginArray()
                        for row in rows { writer.raw(row.span) }
                        writer.endArray()
                        if !isFinished, let last { writer.member("next", last.name) }
                    }
                })
        }
    }

    private static func describeWhole(_ message: Message) -> [UInt8] {
        AdminAnswer { writer in
            writer.member("kind", name(of: message.kind))
            if message.expiry != 0 { writer.member("expires", message.expiry) }
            writeExactly(message, to: &writer)
        }.json
    }

    /// The members of a message with its data byte for byte, and a line that is no longer than base64 makes it.
    static func writeExactly(_ message: Message, to writer: inout JSONWriter) {
        let isAsItIs =
            switch message.kind {
            case .binary: true
            // A line end in it would be shown as a space.
            case .json: !message.payload.contains { $0 == 10 || $0 == 13 }
            case .text: lengthAsString(message.payload) <= message.payload.count / 3 * 4 + 4
            }
        let bytes = Message(
            topic: message.topic, payload: message.payload, kind: isAsItIs ? message.kind : .binary,
            contentType: message.contentType, seq: message.seq, time: message.time)
        MessageObject.write(bytes, isSnapshot: false, to: &writer)
    }

    private static func lengthAsString(_ text: [UInt8]) -> Int {
        text.reduce(2) { length, byte in
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): length + 2
            case 0..<0x20: length + 6
            default: length + 1
            }
        }
    }
}
