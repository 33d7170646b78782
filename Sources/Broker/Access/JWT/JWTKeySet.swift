package import Cryptography
internal import WSTransport

/// The keys of an issuer: a JSON Web Key set (RFC 7517 §5), a PEM file, or one secret.
package struct JWTKeySet: Sendable {
    /// A key, with its name and the algorithm it is bound to.
    struct Entry: Sendable {
        /// The `kid`; `nil` if the key has none.
        var id: String?
        /// The only algorithm that the key may be used with; `nil` for any that fits it.
        var algorithm: SignatureAlgorithm?
        let key: VerificationKey
    }

    let entries: [Entry]
    /// The keys that were left out, and why: a phrase for each.
    package let ignored: [String]

    /// The fingerprints of the keys.
    let marks: Set<Int>
    /// The fingerprints with each key's name and algorithm.
    let terms: Set<Terms>

    /// A key, its name, and the algorithm that it is bound to.
    struct Terms: Hashable, Sendable {
        let mark: Int
        let id: ExactText?
        let algorithm: SignatureAlgorithm?
    }

    /// The maximum number of keys.
    package static let maximumKeys = 32
    /// The maximum size of a key set, in bytes.
    package static let maximumSize = 256 << 10

    /// Why a text holds no usable keys.
    package struct Mistake: Error, Equatable, Sendable, CustomStringConvertible {
        /// A phrase.
        package let description: String

        init(_ description: String) { self.description = description }
    }

    /// How many usable keys there are.
    package var count: Int { entries.count }

    /// Creates a set of one shared secret.
    package init(secret: [UInt8]) throws(KeyError) {
        self.init([Entry(key: try VerificationKey(secret: secret))], ignored: [])
    }

    /// Parses a file: a key set, or PEM.
    package init(file bytes: [UInt8]) throws(Mistake) {
        if bytes.first(where: { !" \n\r\t".utf8.contains($0) }) == UInt8(ascii: "{") {
            try self.init(json: bytes)
            return
        }
        let keys: [VerificationKey]
        do throws(KeyError) {
            keys = try VerificationKey.all(pem: String(validating: bytes, as: UTF8.self) ?? "")
        } catch {
            throw Mistake(error.description)
        }
        self.init(keys.map { Entry(key: $0) }, ignored: [])
    }

    private init(_ entries: [Entry], ignored: [String]) {
        self.entries = entries
        self.ignored = ignored
        marks = Set(entries.map(\.key.mark))
        terms = Set(entries.map { Terms(mark: $0.key.mark, id: $0.id.exact, algorithm: $0.algorithm) })
    }

    /// Parses a JSON Web Key set.
    ///
    /// Keys that cannot verify tokens (for encryption, of unsupported kinds, symmetric, weak) are left out; a set
    /// without usable keys is an error.
    package init(json bytes: [UInt8]) throws(Mistake) {
        guard bytes.count <= Self.maximumSize else { throw Mistake("more than \(Self.maximumSize) bytes") }
        var entries: [Entry] = []
        var ignored: [String] = []
        var count = 0
        do throws(JSONError) {
            let object = try JSONObject.parse(bytes.span, maximumDepth: 16)
            guard let list = object.value("keys") else { throw JSONError(.unexpectedEnd, at: bytes.count) }
            try list.forEachElement(member: "keys") { (element) throws(JSONError) in
                count += 1
                guard count <= Self.maximumKeys else { return }
                let object = try element.object()
                do throws(KeyTrouble) { entries.append(try Entry(object)) } catch {
                    ignored.append("key \(count): \(error.reason)")
                }
            }
        } catch {
            throw Mistake("not a JSON Web Key set: \(error)")
        }
        guard count <= Self.maximumKeys else { throw Mistake("more than \(Self.maximumKeys) keys") }
        guard !entries.isEmpty else {
            throw Mistake(ignored.first.map { "no key that can be used: \($0)" } ?? "no key")
        }
        self.init(entries, ignored: ignored)
    }

    // MARK: Choosing

    /// The result of looking for a key.
    enum Choice {
        case found(VerificationKey)
        /// No key has that name; a newer set may have one.
        case unknown
        /// No key fits the algorithm, or several do.
        case none
    }

    /// The key for a token; the key itself decides which algorithms are accepted, and the token's header must agree.
    func key(id: String?, for algorithm: SignatureAlgorithm) -> Choice {
        // Keys without names, as in a PEM file, may be used for any `kid`.
        let hasNames = entries.contains { $0.id != nil }
        let named = entries.filter { entry in
            guard let id, hasNames else { return true }
            return entry.id.map { $0.utf8.elementsEqual(id.utf8) } ?? false
        }
        if named.isEmpty { return .unknown }
        let fitting = named.filter { $0.key.fits(algorithm) && ($0.algorithm ?? algorithm) == algorithm }
        return fitting.count == 1 ? .found(fitting[0].key) : .none
    }
}

/// Why one key of a set is left out.
private struct KeyTrouble: Error {
    let reason: String
    init(_ reason: String) { self.reason = reason }
}

private func attempt<Value, Failure: Error & CustomStringConvertible>(
    _ body: () throws(Failure) -> Value
) throws(KeyTrouble) -> Value {
    do throws(Failure) { return try body() } catch { throw KeyTrouble(error.description) }
}

extension JWTKeySet.Entry {
    /// Reads one key (RFC 7517 §4).
    fileprivate init(_ object: borrowing JSONObject) throws(KeyTrouble) {
        let use = try attempt { () throws(JSONError) in try object.string("use") }
        let uses = try attempt { () throws(JSONError) in try object.strings("key_ops") }
        guard use ?? "sig" == "sig", uses?.contains("verify") ?? true else { throw KeyTrouble("it is for another use") }
        if let name = try attempt({ () throws(JSONError) in try object.string("alg") }) {
            guard let known = SignatureAlgorithm(rawValue: name) else { throw KeyTrouble("another algorithm") }
            algorithm = known
        }
        // A private key is not secret if others can read the set; one prime of an RSA key is enough to compute it.
        let isPrivate = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"].contains { object.kind(of: $0) != nil }
        guard !isPrivate else { throw KeyTrouble("it is a private key, or a secret") }
        id = try attempt { () throws(JSONError) in try object.string("kid") }
        let kind = try attempt { () throws(JSONError) in try object.string("kty") } ?? ""
        let curve = try attempt { () throws(JSONError) in try object.string("crv") } ?? ""
        switch (kind, curve) {
        case ("RSA", _):
            let (modulus, exponent) = (try Self.bytes("n", of: object), try Self.bytes("e", of: object))
            key = try attempt { () throws(KeyError) in try VerificationKey(modulus: modulus, exponent: exponent) }
        case ("EC", "P-256"), ("EC", "P-384"):
            let (x, y) = (try Self.bytes("x", of: object), try Self.bytes("y", of: object))
            key = try attempt { () throws(KeyError) in
                try VerificationKey(x: x, y: y, on: curve == "P-256" ? .p256 : .p384)
            }
        case ("OKP", "Ed25519"):
            let x = try Self.bytes("x", of: object)
            key = try attempt { () throws(KeyError) in try VerificationKey(ed25519: x) }
        default: throw KeyTrouble("another kind of key")
        }
        if let algorithm, !key.fits(algorithm) { throw KeyTrouble("its algorithm is for another kind of key") }
    }

    private static func bytes(_ name: StaticString, of object: borrowing JSONObject) throws(KeyTrouble) -> [UInt8] {
        let text = try attempt { () throws(JSONError) in try object.string(JSONName(stringLiteral: name)) }
        guard let text, let bytes = Base64.decode(text, alphabet: .url), !bytes.isEmpty else {
            throw KeyTrouble("\(name) is not base64url")
        }
        return bytes
    }
}
