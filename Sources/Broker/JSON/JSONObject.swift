/// The members of one JSON object, found but not yet decoded.
///
/// Valid as long as the bytes it was read from. No name occurs twice in it, whatever its escapes; in nested objects
/// this is checked only when they are read. The typed readers return `nil` for a member that is absent
/// or `null`, and throw if it has another type.
package struct JSONObject: ~Escapable {
    struct Member {
        let mark: JSONName.Mark
        let name: JSONValue.Extent
        let value: JSONValue.Extent
    }

    /// The members, in order.
    struct Members {
        private var list: [Member] = []
        /// The decoded names of members whose names have escapes, so that searching for them is cheap.
        private var decoded: [(place: Int, name: [UInt8])] = []
        /// The bits of all names.
        private var bits: UInt64 = 0

        init() { list.reserveCapacity(8) }

        var count: Int { list.count }

        subscript(place: Int) -> Member { list[place] }

        /// Adds a member; `false` if there is already one with that name.
        @inline(__always)
        mutating func append(_ name: JSONValue.Extent, _ value: JSONValue.Extent, in bytes: Span<UInt8>) -> Bool {
            if name.isEscaped { return appendEscaped(name, value, in: bytes) }
            let mark = JSONName.Mark(bytes, name.inside)
            if mayHave(mark), place(of: mark, bytes.extracting(name.inside), in: bytes) != nil { return false }
            bits |= mark.bit
            list.append(Member(mark: mark, name: name, value: value))
            return true
        }

        private mutating func appendEscaped(
            _ name: JSONValue.Extent, _ value: JSONValue.Extent, in bytes: Span<UInt8>
        ) -> Bool {
            let text = bytes.unescaped(name.inside)
            let mark = JSONName.Mark(text.span, 0..<text.count)
            if place(of: mark, text.span, in: bytes) != nil { return false }
            bits |= mark.bit
            decoded.append((list.count, text))
            list.append(Member(mark: mark, name: name, value: value))
            return true
        }

        /// Whether a member may have that name; `false` means that none has.
        @inline(__always)
        func mayHave(_ mark: JSONName.Mark) -> Bool { bits & mark.bit != 0 }

        /// The index of the member with that name; `nil` if there is none.
        func place(of mark: JSONName.Mark, _ name: Span<UInt8>, in bytes: Span<UInt8>) -> Int? {
            guard mayHave(mark) else { return nil }
            for place in list.indices where list[place].mark == mark {
                if mark.isWhole || isNamed(place, name, in: bytes) { return place }
            }
            return nil
        }

        private func isNamed(_ place: Int, _ name: Span<UInt8>, in bytes: Span<UInt8>) -> Bool {
            let extent = list[place].name
            guard extent.isEscaped else { return bytes.extracting(extent.inside).hasSameBytes(as: name) }
            guard let entry = decoded.first(where: { $0.place == place }) else { return false }
            return entry.name.span.hasSameBytes(as: name)
        }
    }

    private let input: Span<UInt8>
    private let range: Range<Int>
    private let members: Members

    @_lifetime(copy bytes)
    init(bytes: Span<UInt8>, range: Range<Int>, members: consuming Members) {
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

    /// The number of members.
    package var count: Int { members.count }

    /// The offset of the object in the input, in bytes.
    package var offset: Int { range.lowerBound }

    /// The object as written in the input.
    package var rawBytes: Span<UInt8> {
        @_lifetime(copy self)
        get { input.extracting(range) }
    }

    /// The member with that name, which may be `null`; `nil` if there is none.
    @_lifetime(copy self)
    package func value(_ name: JSONName) -> JSONValue? {
        guard let extent = find(name) else { return nil }
        return JSONValue(bytes: input, extent: extent)
    }

    /// The type of the member with that name; `nil` if there is none.
    package func kind(of name: JSONName) -> JSONValue.Kind? { find(name)?.kind }

    /// The name of the member at `index`, which is below ``count``.
    package func name(at index: Int) -> String {
        JSONValue(bytes: input, extent: members[index].name).text
    }

    /// The value of the member at `index`, which is below ``count``.
    @_lifetime(copy self)
    package func value(at index: Int) -> JSONValue {
        JSONValue(bytes: input, extent: members[index].value)
    }

    /// The member's string, not yet decoded.
    @_lifetime(copy self)
    package func text(_ name: JSONName) throws(JSONError) -> JSONValue? {
        guard let value = present(name) else { return nil }
        guard value.kind == .string else { throw value.wrongKind("a string", member: name.description) }
        return value
    }

    /// The member's decoded string.
    package func string(_ name: JSONName) throws(JSONError) -> String? {
        guard let value = present(name) else { return nil }
        guard let string = value.string else { throw value.wrongKind("a string", member: name.description) }
        return string
    }

    /// The UTF-8 of the member's decoded string.
    package func stringBytes(_ name: JSONName) throws(JSONError) -> [UInt8]? {
        guard let value = present(name) else { return nil }
        guard let bytes = value.stringBytes else { throw value.wrongKind("a string", member: name.description) }
        return bytes
    }

    /// The member's exact integer; one that does not fit `type` is an error.
    package func integer<Integer: FixedWidthInteger>(
        _ name: JSONName, as type: Integer.Type = Integer.self
    ) throws(JSONError) -> Integer? {
        guard let value = present(name) else { return nil }
        return try value.integer(as: type, member: name.description)
    }

    /// The member's number.
    package func double(_ name: JSONName) throws(JSONError) -> Double? {
        guard let value = present(name) else { return nil }
        return try value.double(member: name.description)
    }

    /// The member's Boolean.
    package func bool(_ name: JSONName) throws(JSONError) -> Bool? {
        guard let value = present(name) else { return nil }
        guard let bool = value.bool else { throw value.wrongKind("true or false", member: name.description) }
        return bool
    }

    /// The strings of the member, an array.
    ///
    /// - Parameter maximum: how many to return, from the first on.
    package func strings(_ name: JSONName, atMost maximum: Int = .max) throws(JSONError) -> [String]? {
        guard let value = present(name) else { return nil }
        return try value.strings(member: name.description, atMost: maximum)
    }

    /// The member's object.
    @_lifetime(copy self)
    package func object(_ name: JSONName) throws(JSONError) -> JSONObject? {
        guard let value = present(name) else { return nil }
        return try value.object(member: name.description)
    }

    @_lifetime(copy self)
    private func present(_ name: JSONName) -> JSONValue? {
        guard let extent = find(name), extent.kind != .null else { return nil }
        return JSONValue(bytes: input, extent: extent)
    }

    @inline(__always)
    private func find(_ name: JSONName) -> JSONValue.Extent? {
        // Most commands have few of the members that are allowed.
        members.mayHave(name.mark) ? findPresent(name) : nil
    }

    @inline(never)
    private func findPresent(_ name: JSONName) -> JSONValue.Extent? {
        name.withBytes { bytes in members.place(of: name.mark, bytes, in: input).map { members[$0].value } }
    }
}
