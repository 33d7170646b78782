internal import Cryptography
internal import WSTransport

/// The parts of a JSON Web Token, read strictly and not yet believed (RFC 7515 §5.2, RFC 8725).
package struct JSONWebToken {
    /// The longest token, in bytes.
    static let maximumSize = 8 << 10
    /// The longest header, decoded, in bytes.
    static let maximumHeader = 1 << 10

    let algorithm: SignatureAlgorithm
    /// `kid`; `nil`: it names no key.
    let keyID: String?
    /// What is signed: the token up to its last dot.
    let message: Substring
    let signature: [UInt8]
    /// An object of JSON.
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

    /// What a token says that it is about, whether or not that is true; `nil`: it does not say.
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

/// The claims of a token (RFC 7519 §4), of a payload that is an object.
struct JWTClaims {
    /// Those of time, in seconds; `nil`: the claim is not there.
    private(set) var expires: Double?
    private(set) var notBefore: Double?
    private(set) var issued: Double?
    private(set) var audiences: [String] = []
    private(set) var identifier: String?
    /// Strings and numbers by their paths, an array's elements one by one.
    private(set) var byPath: [ExactText: [String]] = [:]
    /// What is text, of those, and what is one by itself.
    private var texts: Set<ExactText> = []
    private var single: Set<ExactText> = []
    private var ambiguous: Set<ExactText> = []

    /// The most paths that are kept.
    private static let most = 512

    /// The issuer alone, which says who is to judge the rest.
    static func issuer(of payload: [UInt8]) throws(JWTRejection) -> String {
        let object: JSONObject
        do throws(JSONError) { object = try JSONObject.parse(payload.span, maximumDepth: 16) } catch { throw .claims }
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

    /// A number of seconds since 1970, not negative and small enough for the calendar.
    private static func time(_ name: JSONName, of object: borrowing JSONObject) throws(JSONError) -> Double? {
        guard let time = try object.double(name) else {
            // `null` is not the same as nothing.
            guard object.kind(of: name) == nil else { throw JSONError(.outOfRange(member: name.description), at: 0) }
            return nil
        }
        guard 0...253_402_300_799 ~= time else { throw JSONError(.outOfRange(member: name.description), at: 0) }
        return time
    }

    /// - Parameter prefix: the path of the object; `nil`: it is the payload itself, which no name leads to.
    private mutating func collect(_ object: borrowing JSONObject, _ prefix: String?) throws(JSONError) {
        for index in 0..<object.count {
            let name = object.name(at: index)
            // They tell one token from the next, and no rule goes by them.
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

    /// `a.b` of one member and `a.b` of two are not told apart, so neither counts.
    private mutating func keep(_ values: [String], at path: ExactText, isText: Bool) {
        if byPath[path] != nil { ambiguous.insert(path) }
        guard byPath.count < Self.most else { return }
        byPath[path] = values
        if isText { texts.insert(path) }
    }

    /// The strings at a path, where there is nothing else.
    func strings(at path: String) -> [String]? { texts.contains(path.exact) ? byPath[path.exact] : nil }

    /// The string at a path, which is no array's element.
    func string(at path: String) -> String? {
        guard single.contains(path.exact), let found = strings(at: path), found.count == 1 else { return nil }
        return found[0]
    }
}
