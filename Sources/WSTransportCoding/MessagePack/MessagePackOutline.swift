/// The place of an item, and the outline's entries for the containers from there on.
struct MessagePackCursor {
    /// The item's first byte.
    var offset: Int
    /// How many non-empty containers begin before it.
    var container: Int

    static let start = MessagePackCursor(offset: 0, container: 0)
}

/// Where each array and map of an input ends: one pass over the whole, before anything is decoded.
///
/// A decoder jumps about in its input, and skips what it does not need. With the outline skipping a container of any
/// size is one step, so decoding takes time proportional to the input and not to its square. It costs 8 bytes for each
/// container that is not empty, in the order in which they begin. The pass also finds everything that is not
/// MessagePack, wherever it is; it needs no recursion, and no more levels than `maximumDepth`.
struct MessagePackOutline {
    /// What follows a container.
    private struct Behind {
        var offset: UInt32 = 0
        var container: UInt32 = 0
    }

    /// A container that has begun and not ended.
    private struct Level {
        let header: MessagePackHeader
        /// Its index in the list.
        let container: Int
        /// How many items have begun, keys included.
        var begun = 0
        /// Where the last key begins.
        var key = 0
    }

    private var behind: [Behind] = []

    /// Checks all of `bytes`.
    ///
    /// Throws what is wrong with them, with byte and coding path.
    init(_ bytes: [UInt8], maximumDepth: Int) throws(DecodingError) {
        var levels: [Level] = []
        var offset = 0
        do throws(MessagePackFault) {
            guard bytes.count <= UInt32.max else { throw MessagePackFault("More than 4294967295 bytes of input.") }
            repeat {
                offset = try take(bytes, offset, &levels, maximumDepth)
            } while !levels.isEmpty
            guard offset == bytes.count else {
                throw MessagePackFault(at: offset, "\(bytes.count - offset) bytes are left behind the value")
            }
        } catch {
            throw error.decodingError(for: Any.self, Self.path(levels, bytes))
        }
    }

    /// Takes one item, without those in it; returns where the next one begins.
    private mutating func take(
        _ bytes: [UInt8], _ start: Int, _ levels: inout [Level], _ maximumDepth: Int
    ) throws(MessagePackFault) -> Int {
        if let last = levels.indices.last {
            if levels[last].begun & 1 == 0 { levels[last].key = start }
            levels[last].begun += 1
        }
        let header = try MessagePackHeader.read(bytes, at: start)
        if header.isContainer, levels.count >= maximumDepth {
            throw MessagePackFault(at: start, "more than \(maximumDepth) arrays and maps within one another")
        }
        if case .text = header.kind { try Self.checkText(bytes[header.content..<header.end], start) }
        guard !header.hasItems else {
            levels.append(Level(header: header, container: behind.count))
            behind.append(Behind())
            return header.content
        }
        while let level = levels.last, level.begun == level.header.itemCount {
            behind[level.container] = Behind(offset: UInt32(header.end), container: UInt32(behind.count))
            levels.removeLast()
        }
        return header.end
    }

    private static func checkText(_ text: ArraySlice<UInt8>, _ start: Int) throws(MessagePackFault) {
        guard text.allSatisfy({ $0 < 0x80 }) || String(validating: text, as: UTF8.self) != nil else {
            throw MessagePackFault(at: start, "a str of \(text.count) bytes that are not UTF-8")
        }
    }

    /// The path to the item that was begun last.
    private static func path(_ levels: [Level], _ bytes: [UInt8]) -> [any CodingKey] {
        levels.compactMap { level in
            guard case .map = level.header.kind else { return MessagePackKey(index: max(0, level.begun - 1)) }
            // The key itself is not a place in the value.
            guard level.begun > 0, level.begun & 1 == 0 else { return nil }
            guard let header = try? MessagePackHeader.read(bytes, at: level.key) else { return nil }
            return header.key(in: bytes) ?? MessagePackKey(stringValue: "\(header)")
        }
    }

    /// The first item in the container at `cursor`, which is not empty.
    func first(in header: MessagePackHeader, at cursor: MessagePackCursor) -> MessagePackCursor {
        MessagePackCursor(offset: header.content, container: cursor.container + 1)
    }

    /// The item after the one at `cursor`.
    func next(after header: MessagePackHeader, at cursor: MessagePackCursor) -> MessagePackCursor {
        guard header.hasItems else { return MessagePackCursor(offset: header.end, container: cursor.container) }
        let behind = behind[cursor.container]
        return MessagePackCursor(offset: Int(behind.offset), container: Int(behind.container))
    }
}

extension MessagePackHeader {
    /// The item as the key of a map; `nil` if it is neither text nor an integer.
    func key(in bytes: [UInt8]) -> MessagePackKey? {
        switch kind {
        case .text: return MessagePackKey(stringValue: String(decoding: bytes[content..<end], as: UTF8.self))
        case .unsigned(let value):
            return Int(exactly: value).map(MessagePackKey.init(intValue:)) ?? MessagePackKey(stringValue: "\(value)")
        case .negative(let value): return MessagePackKey(intValue: Int(value))
        default: return nil
        }
    }
}
