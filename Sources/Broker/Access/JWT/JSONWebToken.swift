internal import Cryptography
internal import WSTransport

/// A JSON Web Token that was parsed strictly, but not verified (RFC 7515 §5.2, RFC 8725).
package struct JSONWebToken {
    /// The maximum size of a token, in bytes.
    static let maximumSize = 8 << 10
    /// The maximum size of the decoded header, in bytes.
    static let maximumHeader = 1 << 10

    let algorithm: SignatureAlgorithm
    /// The `kid` of the header; `nil` if it names no key.
    let keyID: String?
    /// The signed text: the token up to its last dot.
    let message: Substring
    let signature: [UInt8]
    /// A JSON object; not parsed yet.
    let payload: [UInt8]

    init(_ text: String) throws(JWTRejection) {
        guard text.utf8.count <= Self.maximumSize else { throw .size }
        let parts = text.split(separator: ".", maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count == 3, let header = Base64.decode(parts[0], alphabet: .url),
            let payload = Base64.decode(parts[1], alphabet: .url),
            let signature = Base64.decode(parts[2], alphabet: .url)
        else { throw .form }
        guard header.count <= Self.maximumHeader else { throw .header }
        (algorithm, keyID) = try Self.read(header)
        message = text[..<parts[1].endIndex]
        self.payload = payload
        self.signature = signature
    }

    /// The `sub` of a token that was not verified; `nil` if it has none or cannot be parsed.
    package static func subject(of text: String) -> String? {
        let parts = text.split(separator: ".", maxSplits: 3, omittingEmptySubsequences: false)
        guard text.utf8.count <= maximumSize, parts.count == 3, let payload = Base64.decode(parts[1], alphabet: .url),
            let object = try? JSONObject.parse(payload.span, maximumDepth: 16)
        else { return nil }
        return try? object.string("sub")
    }

    private static func read(_ header: [UInt8]) throws(JWTRejection) -> (SignatureAlgorithm, String?) {
        let words: (algorithm: String?, type: String?, key: String?, hasExtension: Bool)
        do throws(JSONError) {
            let object = try JSONObject.parse(header.span, maximumDepth: 4)
            words = (
                try object.string("alg"), try object.string("typ"), try object.string("kid"),
                ["crit", "b64", "zip", "jwk", "jku", "x5u", "x5c"].contains { object.kind(of: $0) != nil }
            )
        } catch {
            throw .header
        }
        guard let algorithm = words.algorithm.flatMap(SignatureAlgorithm.init) else { throw .algorithm }
        if let type = words.type?.lowercased(), type != "jwt", type != "at+jwt" { throw .type }
        guard !words.hasExtension else { throw .extension_ }
        return (algorithm, words.key)
    }
}

/// The claims in the payload of a token (RFC 7519 §4).
struct JWTClaims {
    /// `exp`, `nbf` and `iat` in Unix seconds; `nil` for a claim that is absent.
    private(set) var expires: Double?
    private(set) var notBefore: Double?
    private(set) var issued: Double?
    private(set) var audiences: [String] = []
    private(set) var identifier: String?
    /// Strings and numbers by their paths, an array's elements one by one.
    private(set) var byPath: [ExactText: [String]] = [:]
    /// The paths of ``byPath`` with strings only, and those that are not arrays.
    private var texts: Set<ExactText> = []
    private var single: Set<ExactText> = []
    private var ambiguous: Set<ExactText> = []

    /// The maximum number of paths that are kept.
    private static let most = 512

    /// The `iss` of a payload, which decides which issuer verifies the token.
    static func issuer(of payload: [UInt8]) throws(JWTRejection) -> String {
        let object: JSONObject
        do throws(JSONError) { object = try JSONObject.parse(payload.span, maximumDepth: 16) } catch { throw .payload }
        do throws(JSONError) {
            if let name = try object.string("iss") { return name }
        } catch {
            throw .issuer
        }
        throw .issuer
    }

    init(_ payload: [UInt8]) throws(JWTRejection) {
        do throws(JSONError) {
            let object = try JSONObject.parse(payload.span, maximumDepth: 16)
            expires = try Self.time("exp", of: object)
            notBefore = try Self.time("nbf", of: object)
            issued = try Self.time("iat", of: object)
            identifier = try object.string("jti")
            switch object.kind(of: "aud") {
            case .array: audiences = try object.strings("aud") ?? []
            default: audiences = try object.string("aud").map { [$0] } ?? []
            }
            try collect(object, nil)
        } catch {
            throw .claims
        }
        for path in ambiguous { byPath[path] = nil }
    }

    /// A time in Unix seconds, not negative and before the year 10000; `nil` if the claim is absent.
    private static func time(_ name: JSONName, of object: borrowing JSONObject) throws(JSONError) -> Double? {
        guard let time = try object.double(name) else {
            // `null` is not the same as an absent claim.
            guard object.kind(of: name) == nil else { throw JSONError(.outOfRange(member: name.description), at: 0) }
            return nil
        }
        guard 0...253_402_300_799 ~= time else { throw JSONError(.outOfRange(member: name.description), at: 0) }
        return time
    }

    /// - Parameter prefix: the path of the object; `nil` for the payload itself.
    private mutating func collect(_ object: borrowing JSONObject, _ prefix: String?) throws(JSONError) {
        for index in 0..<object.count {
            let name = object.name(at: index)
            // These differ from token to token, and no rule uses them.
            if prefix == nil, ["exp", "nbf", "iat", "jti"].contains(name) { continue }
            let value = object.value(at: index)
            let path = prefix.map { "\($0).\(name)" } ?? name
            switch value.kind {
            case .object: try collect(try value.object(), path)
            case .array:
                var values: [String] = []
                var areTexts = true
                try value.forEachElement { (element) throws(JSONError) in
                    areTexts = areTexts && element.kind == .string
                    if let text = Self.text(element) { values.append(text) }
                }
                keep(values, at: path.exact, isText: areTexts)
            default:
                guard let text = Self.text(value) else { continue }
                keep([text], at: path.exact, isText: value.kind == .string)
                single.insert(path.exact)
            }
        }
    }

    private static func text(_ value: borrowing JSONValue) -> String? {
        switch value.kind {
        case .string: value.string
        case .number: String(decoding: value.copyRawBytes(), as: UTF8.self)
        default: nil
        }
    }

    /// `a.b` as one name and `a.b` as two names have the same path, so neither counts.
    private mutating func keep(_ values: [String], at path: ExactText, isText: Bool) {
        if byPath[path] != nil { ambiguous.insert(path) }
        guard byPath.count < Self.most else { return }
        byPath[path] = values
        if isText { texts.insert(path) }
    }

    /// The strings at a path; `nil` if there is anything else.
    func strings(at path: String) -> [String]? { texts.contains(path.exact) ? byPath[path.exact] : nil }

    /// The string at a path; `nil` if there is anything else, such as an array.
    func string(at path: String) -> String? {
        guard single.contains(path.exact), let found = strings(at: path), found.count == 1 else { return nil }
        return found[0]
    }
}
