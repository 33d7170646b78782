/// An input that is valid MessagePack as a whole, and the options to decode it with.
final class MessagePackDocument {
    let bytes: [UInt8]
    let userInfo: [CodingUserInfoKey: Any]
    private let outline: MessagePackOutline

    /// Throws an error that says what is wrong with the bytes.
    init(_ bytes: [UInt8], maximumDepth: Int, userInfo: [CodingUserInfoKey: Any]) throws(DecodingError) {
        self.bytes = bytes
        self.userInfo = userInfo
        outline = try MessagePackOutline(bytes, maximumDepth: maximumDepth)
    }

    func item(at cursor: MessagePackCursor) throws(MessagePackFault) -> MessagePackItem {
        MessagePackItem(document: self, header: try MessagePackHeader.read(bytes, at: cursor.offset), cursor: cursor)
    }

    /// The first item in a container that is not empty.
    func first(in item: MessagePackItem) -> MessagePackCursor { outline.first(in: item.header, at: item.cursor) }

    func next(after item: MessagePackItem) -> MessagePackCursor { outline.next(after: item.header, at: item.cursor) }

    /// Decodes the item at `cursor`; `path` leads to it.
    ///
    /// Not specialised: the optimizer of Swift 6.3 crashes on the cast below where `Value` is `UInt64`.
    @_semantics("optimize.sil.specialize.generic.never")
    func decode<Value: Decodable>(
        _ type: Value.Type, at cursor: MessagePackCursor, _ path: @autoclosure () -> MessagePackPath?
    ) throws -> Value {
        if let primitive = type as? any MessagePackPrimitive.Type {
            do throws(MessagePackFault) {
                if let value = try primitive.read(try item(at: cursor)) as? Value { return value }
            } catch {
                throw error.decodingError(for: type, MessagePackPath.keys(path()))
            }
        }
        return try Value(from: MessagePackDecoding(document: self, cursor: cursor, path: path()))
    }

    func isNil(at cursor: MessagePackCursor) -> Bool { cursor.offset < bytes.count && bytes[cursor.offset] == 0xC0 }
}

/// An item of a document.
struct MessagePackItem {
    let document: MessagePackDocument
    let header: MessagePackHeader
    let cursor: MessagePackCursor

    /// The content of text, of a bin or an ext.
    var content: ArraySlice<UInt8> { document.bytes[header.content..<header.end] }

    /// The item is not of the kind `expected`.
    func mismatch(_ expected: String) -> MessagePackFault {
        var kind = MessagePackFault.Kind.mismatch
        if case .null = header.kind { kind = .absent }
        return MessagePackFault(at: header.start, "expected \(expected), found \(header)", kind)
    }

    /// The item is of the right kind, but not a value of the type.
    func misfit(_ type: any Any.Type) -> MessagePackFault {
        MessagePackFault(at: header.start, "\(header) does not fit in \(type)")
    }
}
