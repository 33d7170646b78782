/// One extension, as offered or accepted in `Sec-WebSocket-Extensions` (RFC 6455 §9.1).
package struct NegotiatedExtension: Equatable, Sendable {
    /// One of its parameters.
    package struct Parameter: Equatable, Sendable {
        /// As written.
        package let name: String
        /// Without quotes; `nil` if there is none.
        package let value: String?
    }

    /// As written.
    package let name: String
    /// In order; a name may occur twice.
    package let parameters: [Parameter]

    /// The extensions of all lines of the field, in order; `nil` if one of them is malformed.
    ///
    /// Empty elements are left out (RFC 9110 §5.6.1).
    package static func list(_ values: [String]) -> [NegotiatedExtension]? {
        var all: [NegotiatedExtension] = []
        for value in values {
            var reader = ExtensionReader(value.utf8Span.span)
            guard reader.readList(into: &all) else { return nil }
        }
        return all
    }

    /// The parsed form of what most browsers offer.
    private static let usualOffer = [
        NegotiatedExtension(
            name: DeflateParameters.name, parameters: [Parameter(name: "client_max_window_bits", value: nil)])
    ]

    /// Whether a list is the one that most browsers send.
    private static func isUsualOffer(_ value: Span<UInt8>) -> Bool {
        let text: StaticString = "permessage-deflate; client_max_window_bits"
        let count = text.utf8CodeUnitCount
        guard value.count == count else { return false }
        let (own, other) = unsafe (value.bytes, UnsafeRawPointer(text.utf8Start))
        var index = 0
        while index < count {
            // The last comparison overlaps, so that it ends with the text.
            let place = min(index, count &- 8)
            guard
                unsafe own.unsafeLoadUnaligned(fromByteOffset: place, as: UInt64.self)
                    == other.loadUnaligned(fromByteOffset: place, as: UInt64.self)
            else { return false }
            index &+= 8
        }
        return true
    }

    /// Whether the extensions in `fields` are well-formed; makes no list for the offer that most browsers send.
    static func isList(in fields: HeaderFields) -> Bool {
        var isSound = true
        fields.forEachValue(of: .webSocketExtensions) { value in
            if isUsualOffer(value) { return true }
            var (reader, all) = (ExtensionReader(value), [NegotiatedExtension]())
            isSound = reader.readList(into: &all)
            return isSound
        }
        return isSound
    }

    /// The extensions in `fields`, as in ``list(_:)``.
    static func list(in fields: HeaderFields) -> [NegotiatedExtension]? {
        var all: [NegotiatedExtension] = []
        var isSound = true
        fields.forEachValue(of: .webSocketExtensions) { value in
            if all.isEmpty, isUsualOffer(value) {
                all = usualOffer
                return true
            }
            var reader = ExtensionReader(value)
            isSound = reader.readList(into: &all)
            return isSound
        }
        return isSound ? all : nil
    }
}

/// Reads one line of `Sec-WebSocket-Extensions`.
private struct ExtensionReader: ~Escapable {
    private let bytes: Span<UInt8>
    private var index = 0

    @_lifetime(copy bytes)
    init(_ bytes: Span<UInt8>) { self.bytes = bytes }

    mutating func readList(into all: inout [NegotiatedExtension]) -> Bool {
        while true {
            skipWhitespace()
            if !take(UInt8(ascii: ",")), index < bytes.count {
                guard let one = readExtension() else { return false }
                all.append(one)
                guard index == bytes.count || take(UInt8(ascii: ",")) else { return false }
            }
            if index == bytes.count { return true }
        }
    }

    private mutating func readExtension() -> NegotiatedExtension? {
        guard let name = readToken() else { return nil }
        var parameters: [NegotiatedExtension.Parameter] = []
        skipWhitespace()
        while take(UInt8(ascii: ";")) {
            skipWhitespace()
            guard let parameter = readParameter() else { return nil }
            parameters.append(parameter)
            skipWhitespace()
        }
        return NegotiatedExtension(name: name, parameters: parameters)
    }

    private mutating func readParameter() -> NegotiatedExtension.Parameter? {
        guard let name = readToken() else { return nil }
        skipWhitespace()
        guard take(UInt8(ascii: "=")) else { return NegotiatedExtension.Parameter(name: name, value: nil) }
        skipWhitespace()
        guard let value = take(UInt8(ascii: "\"")) ? readQuoted() : readToken() else { return nil }
        return NegotiatedExtension.Parameter(name: name, value: value)
    }

    private mutating func readToken() -> String? {
        let start = index
        while index < bytes.count, bytes[index].isTokenCharacter { index += 1 }
        guard index > start else { return nil }
        return unsafe bytes.extracting(start..<index).withUnsafeBufferPointer { token in
            unsafe String(decoding: token, as: UTF8.self)
        }
    }

    /// The quoted text must be a token, too.
    private mutating func readQuoted() -> String? {
        var value: [UInt8] = []
        while index < bytes.count, bytes[index] != UInt8(ascii: "\"") {
            if bytes[index] == UInt8(ascii: "\\") { index += 1 }
            guard index < bytes.count, bytes[index].isTokenCharacter else { return nil }
            value.append(bytes[index])
            index += 1
        }
        guard take(UInt8(ascii: "\"")), !value.isEmpty else { return nil }
        return String(decoding: value, as: UTF8.self)
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard index < bytes.count, bytes[index] == byte else { return false }
        index += 1
        return true
    }

    private mutating func skipWhitespace() {
        while index < bytes.count, bytes[index] == .space || bytes[index] == .tab { index += 1 }
    }
}
