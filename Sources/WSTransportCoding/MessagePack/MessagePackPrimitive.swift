/// A type that is encoded as one item, and not composed of others.
protocol MessagePackPrimitive {
    /// Writes it, as one item.
    ///
    /// - Parameter levels: how deeply arrays and maps in it may be nested.
    func write(to writer: inout MessagePackWriter, levels: Int) throws(MessagePackFault)

    /// Decodes it from an item.
    ///
    /// Returns `nil` where the type itself may know how to decode such an item.
    static func read(_ item: MessagePackItem) throws(MessagePackFault) -> Self?
}

extension MessagePackPrimitive where Self: FixedWidthInteger {
    func write(to writer: inout MessagePackWriter, levels: Int) throws(MessagePackFault) {
        if let value = UInt64(exactly: self) {
            writer.write(value)
        } else if let value = Int64(exactly: self) {
            writer.write(value)
        } else {
            throw MessagePackFault("\(self) does not fit in the 64 bits of the format's integers.")
        }
    }

    static func read(_ item: MessagePackItem) throws(MessagePackFault) -> Self? {
        let value: Self?
        switch item.header.kind {
        case .unsigned(let number): value = Self(exactly: number)
        case .negative(let number): value = Self(exactly: number)
        default: throw item.mismatch("an integer")
        }
        guard let value else { throw item.misfit(Self.self) }
        return value
    }
}

extension Int: MessagePackPrimitive {}
extension Int8: MessagePackPrimitive {}
extension Int16: MessagePackPrimitive {}
extension Int32: MessagePackPrimitive {}
extension Int64: MessagePackPrimitive {}
extension Int128: MessagePackPrimitive {}
extension UInt: MessagePackPrimitive {}
extension UInt8: MessagePackPrimitive {}
extension UInt16: MessagePackPrimitive {}
extension UInt32: MessagePackPrimitive {}
extension UInt64: MessagePackPrimitive {}
extension UInt128: MessagePackPrimitive {}

extension Bool: MessagePackPrimitive {
    func write(to writer: inout MessagePackWriter, levels: Int) { writer.write(self) }

    static func read(_ item: MessagePackItem) throws(MessagePackFault) -> Bool? {
        guard case .bool(let value) = item.header.kind else { throw item.mismatch("true or false") }
        return value
    }
}

extension Double: MessagePackPrimitive {
    func write(to writer: inout MessagePackWriter, levels: Int) { writer.write(self) }

    /// An integer that this type represents exactly is accepted too: JavaScript sends 3.0 as 3.
    static func read(_ item: MessagePackItem) throws(MessagePackFault) -> Double? {
        switch item.header.kind {
        case .float(let value): return Double(value)
        case .double(let value): return value
        case .unsigned(let number): if let value = Double(exactly: number) { return value }
        case .negative(let number): if let value = Double(exactly: number) { return value }
        default: throw item.mismatch("a number")
        }
        throw item.misfit(Double.self)
    }
}

extension Float: MessagePackPrimitive {
    func write(to writer: inout MessagePackWriter, levels: Int) { writer.write(self) }

    /// A float64 is rounded, because many languages have no other; one beyond this type's range is an error.
    static func read(_ item: MessagePackItem) throws(MessagePackFault) -> Float? {
        switch item.header.kind {
        case .float(let value): return value
        case .double(let number):
            let value = Float(number)
            if value.isFinite || !number.isFinite { return value }
        case .unsigned(let number): if let value = Float(exactly: number) { return value }
        case .negative(let number): if let value = Float(exactly: number) { return value }
        default: throw item.mismatch("a number")
        }
        throw item.misfit(Float.self)
    }
}

extension String: MessagePackPrimitive {
    func write(to writer: inout MessagePackWriter, levels: Int) throws(MessagePackFault) { try writer.write(self) }

    static func read(_ item: MessagePackItem) throws(MessagePackFault) -> String? {
        guard case .text = item.header.kind else { throw item.mismatch("a str") }
        return String(decoding: item.content, as: UTF8.self)
    }
}

/// Bytes are a bin; an array of small integers is accepted too.
extension [UInt8]: MessagePackPrimitive {
    func write(to writer: inout MessagePackWriter, levels: Int) throws(MessagePackFault) {
        try writer.write(binary: self)
    }

    static func read(_ item: MessagePackItem) throws(MessagePackFault) -> [UInt8]? {
        switch item.header.kind {
        case .binary: return Array(item.content)
        case .array: return nil
        default: throw item.mismatch("a bin")
        }
    }
}
