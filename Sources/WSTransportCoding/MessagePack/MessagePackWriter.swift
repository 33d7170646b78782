/// Writes items, each in the smallest form that holds it.
struct MessagePackWriter {
    private(set) var bytes: [UInt8] = []

    mutating func writeNil() { bytes.append(0xC0) }

    mutating func write(_ value: Bool) { bytes.append(value ? 0xC3 : 0xC2) }

    mutating func write(_ value: UInt64) {
        if value < 0x80 {
            bytes.append(UInt8(value))
        } else if let value = UInt8(exactly: value) {
            bytes.append(0xCC)
            bytes.append(value)
        } else if let value = UInt16(exactly: value) {
            append(0xCD, value)
        } else if let value = UInt32(exactly: value) {
            append(0xCE, value)
        } else {
            append(0xCF, value)
        }
    }

    mutating func write(_ value: Int64) {
        if value >= 0 {
            write(UInt64(value))
        } else if value >= -32 {
            bytes.append(UInt8(truncatingIfNeeded: value))
        } else if let value = Int8(exactly: value) {
            append(0xD0, value)
        } else if let value = Int16(exactly: value) {
            append(0xD1, value)
        } else if let value = Int32(exactly: value) {
            append(0xD2, value)
        } else {
            append(0xD3, value)
        }
    }

    mutating func write(_ value: Float) { append(0xCA, value.bitPattern) }

    mutating func write(_ value: Double) { append(0xCB, value.bitPattern) }

    mutating func write(_ text: String) throws(MessagePackFault) {
        var text = text
        text.makeContiguousUTF8()
        let count = text.utf8.count
        if count < 32 {
            bytes.append(0xA0 | UInt8(count))
        } else if let count = UInt8(exactly: count) {
            append(0xD9, count)
        } else {
            try writeCount(count, 0xDA, 0xDB, of: "text, in bytes")
        }
        bytes += text.utf8
    }

    mutating func write(binary: [UInt8]) throws(MessagePackFault) {
        if let count = UInt8(exactly: binary.count) {
            append(0xC4, count)
        } else {
            try writeCount(binary.count, 0xC5, 0xC6, of: "a bin, in bytes")
        }
        bytes += binary
    }

    /// Begins an array; `count` items follow.
    mutating func writeArray(count: Int) throws(MessagePackFault) {
        if count < 16 {
            bytes.append(0x90 | UInt8(count))
        } else {
            try writeCount(count, 0xDC, 0xDD, of: "an array")
        }
    }

    /// Begins a map; `count` keys follow, each with its value.
    mutating func writeMap(count: Int) throws(MessagePackFault) {
        if count < 16 {
            bytes.append(0x80 | UInt8(count))
        } else {
            try writeCount(count, 0xDE, 0xDF, of: "a map")
        }
    }

    mutating func write(extension type: Int8, _ content: [UInt8]) throws(MessagePackFault) {
        switch content.count {
        case 1, 2, 4, 8, 16: bytes.append(0xD4 + UInt8(content.count.trailingZeroBitCount))
        case 0...0xFF: append(0xC7, UInt8(content.count))
        default: try writeCount(content.count, 0xC8, 0xC9, of: "an ext, in bytes")
        }
        bytes.append(UInt8(bitPattern: type))
        bytes += content
    }

    /// Appends bytes that are already encoded.
    mutating func append(_ written: ArraySlice<UInt8>) { bytes += written }

    private mutating func writeCount(
        _ count: Int, _ short: UInt8, _ long: UInt8, of what: String
    ) throws(MessagePackFault) {
        if let count = UInt16(exactly: count) {
            append(short, count)
        } else if let count = UInt32(exactly: count) {
            append(long, count)
        } else {
            throw MessagePackFault("\(count) is more than the 4294967295 that the format allows of \(what).")
        }
    }

    private mutating func append(_ first: UInt8, _ word: some FixedWidthInteger) {
        bytes.append(first)
        for shift in stride(from: word.bitWidth - 8, through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: word >> shift))
        }
    }
}
