// The properties of a stored message, one after the other, numbers little-endian:
//
//     identifier, that of MQTT 5 (1 byte)     length of what follows (4 bytes)     what follows
//
//     0x03   content type    UTF-8
//     0x08   reply topic     UTF-8
//     0x09   correlation     bytes
//     0x26   header          length of the name (2 bytes), name and value, UTF-8; as often as there are headers
//
// Two properties are the broker's own, and not identifiers of MQTT 5:
//
//     0xF0   expiry          empty: the broker removed an expired value by this message
//     0xF1   number          8 bytes: `Message.number`, where it is not the record's own number
//
// Unknown identifiers are skipped: a later version may add one without a new format of the record, if readers that do
// not know it may ignore it.

/// The block of a record with a message's properties.
enum PropertyBlock {
    private enum Identifier: UInt8 {
        case contentType = 0x03
        case replyTo = 0x08
        case correlation = 0x09
        case header = 0x26
        case expiry = 0xF0
        case number = 0xF1
    }

    /// The content of a block.
    struct Values: Equatable {
        var contentType: String?
        /// The headers, reply topic and correlation; `nil` if there are none.
        var properties: MessageProperties?
        var isExpiry = false
        /// `nil`: that of the record.
        var number: UInt64?
    }

    /// The block of a message; empty if it has no properties.
    static func bytes(of message: Message) -> [UInt8] {
        var bytes: [UInt8] = []
        func add(_ identifier: Identifier, _ length: Int) {
            bytes.append(identifier.rawValue)
            // Each part is bounded far below 4 GiB.
            bytes.appendLittleEndian(UInt32(clamping: length))
        }
        if let contentType = message.contentType {
            add(.contentType, contentType.utf8.count)
            bytes.append(contentsOf: contentType.utf8)
        }
        if message.isExpiry { add(.expiry, 0) }
        if message.number != message.seq {
            add(.number, 8)
            bytes.appendLittleEndian(message.number)
        }
        guard let properties = message.properties else { return bytes }
        if let replyTo = properties.replyTo {
            add(.replyTo, replyTo.name.utf8.count)
            bytes.append(contentsOf: replyTo.name.utf8)
        }
        if let correlation = properties.correlation {
            add(.correlation, correlation.count)
            bytes.append(contentsOf: correlation)
        }
        for header in properties.headers {
            let name = header.name.utf8.count
            add(.header, 2 + name + header.value.utf8.count)
            bytes.appendLittleEndian(UInt16(clamping: name))
            bytes.append(contentsOf: header.name.utf8)
            bytes.append(contentsOf: header.value.utf8)
        }
        return bytes
    }

    /// The content of the block in `range` of a record; `nil` if it is not valid.
    static func read(_ record: Span<UInt8>, _ range: Range<Int>) -> Values? {
        var values = Values()
        var headers: [MessageProperties.Header] = []
        var replyTo: Topic?
        var correlation: [UInt8]?
        var begin = range.lowerBound
        while begin < range.upperBound {
            guard range.upperBound - begin >= 5 else { return nil }
            let length = Int(record.littleEndian(UInt32.self, at: begin + 1))
            let identifier = Identifier(rawValue: record[begin])
            let first = begin + 5
            guard range.upperBound - first >= length else { return nil }
            begin = first + length
            guard let identifier else { continue }
            switch identifier {
            case .contentType:
                guard values.contentType == nil, let type = text(record, first..<begin) else { return nil }
                values.contentType = type
            case .expiry: values.isExpiry = true
            case .number:
                guard length == 8 else { return nil }
                values.number = record.littleEndian(UInt64.self, at: first)
            case .replyTo:
                guard replyTo == nil, let topic = storedTopic(record.array(first..<begin)) else { return nil }
                replyTo = topic
            case .correlation:
                guard correlation == nil else { return nil }
                correlation = record.array(first..<begin)
            case .header:
                guard let header = header(record, first..<begin) else { return nil }
                headers.append(header)
            }
        }
        guard !headers.isEmpty || replyTo != nil || correlation != nil else { return values }
        guard let properties = try? MessageProperties(headers: headers, replyTo: replyTo, correlation: correlation)
        else { return nil }
        values.properties = properties
        return values
    }

    private static func header(_ record: Span<UInt8>, _ range: Range<Int>) -> MessageProperties.Header? {
        guard range.count >= 2 else { return nil }
        let begin = range.lowerBound + 2
        let end = begin + Int(record.littleEndian(UInt16.self, at: range.lowerBound))
        guard end <= range.upperBound, let name = text(record, begin..<end),
            let value = text(record, end..<range.upperBound)
        else { return nil }
        return MessageProperties.Header(name: name, value: value)
    }

    private static func text(_ record: Span<UInt8>, _ range: Range<Int>) -> String? {
        String(validating: record.array(range), as: UTF8.self)
    }
}
