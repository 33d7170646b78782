/// A part of a value while it is encoded: what has been written of it so far.
///
/// The number of items in a container is known only at its end, and several may be open at a time. So what lies
/// directly in a container is written to the container's own bytes, and a container within it is a part of its own,
/// which is inserted at the end.
final class MessagePackPart {
    enum Kind {
        /// Not decided; if it stays so, the value has nothing to encode and becomes an empty map.
        case nothing
        case single
        case array
        case map
    }

    let session: MessagePackSession
    let path: MessagePackPath?
    /// How many containers it is nested in.
    private let depth: Int
    private var kind = Kind.nothing
    /// Items of an array, pairs of a map.
    private(set) var count = 0
    private var writer = MessagePackWriter()
    /// The parts in it, and the index of its bytes before which each belongs.
    private var parts: [(offset: Int, part: MessagePackPart)] = []
    private var names: Set<String> = []

    init(session: MessagePackSession, depth: Int, path: MessagePackPath?) {
        self.session = session
        self.depth = depth
        self.path = path
    }

    /// Decides its kind; the same kind may be requested again, but not another.
    func begin(_ kind: Kind) {
        if self.kind != .nothing, self.kind != kind || kind == .single {
            session.fail(MessagePackFault("Several values are encoded in one place."), at: path)
        }
        if kind != .single, depth >= session.maximumDepth { session.fail(.tooDeep, at: path) }
        self.kind = kind
    }

    func writeNil() { writer.writeNil() }

    /// Encodes a value as this part.
    func encode<Value: Encodable>(_ value: Value) throws {
        if let primitive = value as? any MessagePackPrimitive {
            begin(.single)
            write(primitive, at: path)
        } else {
            let keysAreIntegers = Value.self is any MessagePackIntegerKeyed.Type
            try value.encode(to: MessagePackEncoding(part: self, keysAreIntegers: keysAreIntegers))
        }
        try session.check(value)
    }

    private func write(_ primitive: any MessagePackPrimitive, at path: MessagePackPath?) {
        do throws(MessagePackFault) {
            let levels = session.maximumDepth - depth - (kind == .single ? 0 : 1)
            try primitive.write(to: &writer, levels: levels)
        } catch {
            session.fail(error, at: path)
        }
    }

    /// Encodes a value in the container that this part is.
    func append<Value: Encodable>(_ value: Value, _ key: any CodingKey) throws {
        try session.check(value)
        if let primitive = value as? any MessagePackPrimitive {
            write(primitive, at: MessagePackPath(path, key))
            return try session.check(value)
        }
        try appendPart(key).encode(value)
    }

    /// A part in the container that this part is.
    func appendPart(_ key: any CodingKey) -> MessagePackPart {
        let part = MessagePackPart(session: session, depth: depth + 1, path: MessagePackPath(path, key))
        parts.append((writer.bytes.count, part))
        return part
    }

    /// Begins an array's next item.
    func beginItem() -> MessagePackKey {
        count += 1
        return MessagePackKey(index: count - 1)
    }

    /// Begins a map's next pair by writing its key.
    func beginMember(_ key: any CodingKey, isInteger: Bool) {
        count += 1
        let number = isInteger ? key.intValue : nil
        let name = number.map { String($0) } ?? key.stringValue
        if !names.insert(name).inserted {
            session.fail(MessagePackFault("The key \"\(name)\" is encoded twice."), at: path)
        }
        if let number { write(number, at: path) } else { write(key.stringValue, at: path) }
    }

    /// Writes all of it; throws beyond the session's limit of depth.
    func write(to whole: inout MessagePackWriter) throws(MessagePackFault) {
        switch kind {
        case .nothing: return try whole.writeMap(count: 0)
        case .single: break
        case .array: try whole.writeArray(count: count)
        case .map: try whole.writeMap(count: count)
        }
        var written = 0
        for (offset, part) in parts {
            whole.append(writer.bytes[written..<offset])
            try part.write(to: &whole)
            written = offset
        }
        whole.append(writer.bytes[written...])
    }
}

/// A dictionary whose keys are encoded as integers.
///
/// The coding keys of a dictionary with text keys also have an `intValue` if the text is a number.
protocol MessagePackIntegerKeyed {}

extension Dictionary: MessagePackIntegerKeyed where Key == Int {}
