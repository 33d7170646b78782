/// The members of one JSON object, found but not yet decoded.
///
/// Valid as long as the bytes it was read from. No name occurs twice in it, whatever its escapes; in nested objects
/// this is checked only when they are read. The typed readers return `nil` for a member that is absent
/// or `null`, and throw if it has another type.
package struct JSONObject: ~Escapable {
    struct Member {
        let name: JSONValue.Extent
        /// The decoded name if it has escapes, so that looking it up is cheap.
        let decodedName: [UInt8]?
        let value: JSONValue.Extent

        init(name: JSONValue.Extent, value: JSONValue.Extent, in bytes: Span<UInt8>) {
            self.name = name
            self.value = value
            decodedName = name.isEscaped ? JSONValue(bytes: bytes, extent: name).stringBytes : nil
        }

        func isNamed(_ wanted: Span<UInt8>, in bytes: Span<UInt8>) -> Bool {
            if let decodedName { return decodedName.span.hasSameBytes(as: wanted) }
            // Most names differ in length.
            guard name.range.count == wanted.count + 2 else { return false }
            return bytes.extracting(name.inside).hasSameBytes(as: wanted)
        }

        func hasSameName(as other: Member, in bytes: Span<UInt8>) -> Bool {
            guard decodedName != nil || other.decodedName != nil || name.range.count == other.name.range.count else {
                return false
            }
            if let decodedName = other.decodedName { return isNamed(decodedName.span, in: bytes) }
            return isNamed(bytes.extracting(other.name.inside), in: bytes)
        }
    }

    private let input: Span<UInt8>
    private let range: Range<Int>
    private let members: [Member]

    @_lifetime(copy bytes)
    init(bytes: Span<UInt8>, range: Range<Int>, members: [Member]) {
        input = bytes
        self.range = range
        self.members = members
    }

    /// Reads the one object in `bytes`, which may be surrounded by white space.
    @_lifetime(copy bytes)
    package static func parse(
        _ bytes: Span<UInt8>, maximumDepth: Int = JSONScanner.maximumDepth
    ) throws(JSONError) -> JSONObject {
        var scanner = JSONScanner(bytes, maximumDepth: maximumDepth)
        return try scanner.onlyObject()
    }

    /// How many members there are.
    package var count: Int { members.count }

    /// Where the object begins in the input, in bytes.
    package var offset: Int { range.lowerBound }

    /// The object as it is written in the input.
    package var rawBytes: Span<UInt8> {
        @_lifetime(copy self)
        get { input.extracting(range) }
    }

    /// The member of that name, which may be `null`; `nil` if there is none.
    @_lifetime(copy self)
    package func value(_ name: String) -> JSONValue? {
        guard let extent = find(name) else { return nil }
        return JSONValue(bytes: input, extent: extent)
    }

    /// The type of the member of that name; `nil` if there is none.
    package func kind(of name: String) -> JSONValue.Kind? { find(name)?.kind }

    /// The name of the member at `index`, which is below ``count``.
    package func name(at index: Int) -> String {
        JSONValue(bytes: input, extent: members[index].name).text
    }

    /// The value of the member at `index`, which is below ``count``.
    @_lifetime(copy self)
    package func value(at index: Int) -> JSONValue {
        JSONValue(bytes: input, extent: members[index].value)
    }

    /// The member's decoded string.
    package func string(_ name: String) throws(JSONError) -> String? {
        guard let value = present(name) else { return nil }
        guard let string = value.string else { throw value.wrongKind("a string", member: name) }
        return string
    }

    /// The UTF-8 of the member's decoded string.
    package func stringBytes(_ name: String) throws(JSONError) -> [UInt8]? {
        guard let value = present(name) else { return nil }
        guard let bytes = value.stringBytes else { throw value.wrongKind("a string", member: name) }
        return bytes
    }

    /// The member's exact integer; one that does not fit `type` is an error.
    package func integer<Integer: FixedWidthInteger>(
        _ name: String, as type: Integer.Type = Integer.self
    ) throws(JSONError) -> Integer? {
        guard let value = present(name) else { return nil }
        return try value.integer(as: type, member: name)
    }

    /// The member's number.
    package func double(_ name: String) throws(JSONError) -> Double? {
        guard let value = present(name) else { return nil }
        return try value.double(member: name)
    }

    /// The member's Boolean.
    package func bool(_ name: String) throws(JSONError) -> Bool? {
        guard let value = present(name) else { return nil }
        guard let bool = value.bool else { throw value.wrongKind("true or false", member: name) }
        return bool
    }

    /// The strings of the member, an array.
    ///
    /// - Parameter maximum: how many to return, from the first on.
    package func strings(_ name: String, atMost maximum: Int = .max) throws(JSONError) -> [String]? {
        guard let value = present(name) else { return nil }
        return try value.strings(member: name, atMost: maximum)
    }

    /// The object that the member is.
    @_lifetime(copy self)
    package func object(_ name: String) throws(JSONError) -> JSONObject? {
        guard let value = present(name) else { return nil }
        return try value.object(member: name)
    }

    @_lifetime(copy self)
    private func present(_ name: String) -> JSONValue? {
        guard let extent = find(name), extent.kind != .null else { return nil }
        return JSONValue(bytes: input, extent: extent)
    }

    private func find(_ name: String) -> JSONValue.Extent? {
        let wanted = name.utf8Span.span
        for member in members where member.isNamed(wanted, in: input) { return member.value }
        return nil
    }
}
