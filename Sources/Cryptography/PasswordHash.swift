internal import COpenSSL
internal import WSTransport

/// A password in stored form: a method, its parameters, a salt and the hash.
///
/// Each hash has its own parameters, so those for new passwords can be raised at any time. Any thread.
package struct PasswordHash: Sendable, Hashable {
    private enum Method: Hashable {
        case scrypt(Scrypt)
        case argon2id(Argon2)
        /// PBKDF2 with SHA-512, in mosquitto's format.
        case mosquitto(iterations: Int)
    }

    private let method: Method
    private let salt: [UInt8]
    private let hash: [UInt8]

    /// Hashes a password with a new salt, with scrypt.
    ///
    /// Takes as long as ``Scrypt/standard`` says, so do not call it on a reactor.
    package static func make(
        for password: String, cost: Scrypt = .standard
    ) throws(CryptographyError) -> PasswordHash {
        let salt = try Secret.random(16)
        let hash = try cost.stretch(password.utf8Span.span, salt: salt.span, count: 32)
        return PasswordHash(method: .scrypt(cost), salt: salt, hash: hash)
    }

    /// A hash that matches no known password, to compare with if there is no such user; it costs as much as any other.
    package static func ofNobody(cost: Scrypt = .standard) throws(CryptographyError) -> PasswordHash {
        PasswordHash(method: .scrypt(cost), salt: try Secret.random(16), hash: try Secret.random(32))
    }

    private init(method: Method, salt: [UInt8], hash: [UInt8]) {
        self.method = method
        self.salt = salt
        self.hash = hash
    }

    /// Whether it is the hash of a password.
    ///
    /// Takes as long as its parameters say, so do not call it on a reactor.
    package func matches(_ password: String) throws(CryptographyError) -> Bool {
        let bytes = password.utf8Span.span
        let made =
            switch method {
            case .scrypt(let cost): try cost.stretch(bytes, salt: salt.span, count: hash.count)
            case .argon2id(let cost): try cost.stretch(bytes, salt: salt.span, count: hash.count)
            case .mosquitto(let iterations):
                try HashFunction.sha512.stretch(bytes, salt: salt.span, iterations: iterations, count: hash.count)
            }
        return Secret.areEqual(made.span, hash.span)
    }

    /// Whether guessing the password costs an attacker much less than with the parameters for new passwords.
    package var isWeak: Bool {
        switch method {
        case .scrypt(let cost):
            cost.logarithm < 14 || (cost.blockSize * cost.parallelism) << cost.logarithm < 8 << 15
        case .argon2id(let cost): cost.memory * cost.passes < 19 * 1024
        case .mosquitto(let iterations): iterations < 210_000
        }
    }

    // MARK: Text

    /// Its form in a file: a PHC string, or mosquitto's format.
    package var text: String {
        switch method {
        case .scrypt(let cost):
            "$scrypt$ln=\(cost.logarithm),r=\(cost.blockSize),p=\(cost.parallelism)$\(encoded)"
        case .argon2id(let cost): "$argon2id$v=19$m=\(cost.memory),t=\(cost.passes),p=\(cost.lanes)$\(encoded)"
        case .mosquitto(let iterations):
            "$7$\(iterations)$\(Base64.encode(salt))$\(Base64.encode(hash))"
        }
    }

    private var encoded: String {
        "\(Base64.encode(salt, alphabet: .unpadded))$\(Base64.encode(hash, alphabet: .unpadded))"
    }

    /// Why a text is not a password hash; it contains nothing of the text.
    package struct FormatError: Error, Equatable, Sendable, CustomStringConvertible {
        /// A phrase that says what is expected.
        package let description: String

        init(_ description: String) { self.description = description }
    }

    /// Parses the form in a file.
    package init(parsing text: String) throws(FormatError) {
        let parts = text.split(separator: "$", omittingEmptySubsequences: false)
        guard parts.count >= 2, parts[0].isEmpty else {
            throw FormatError("expected a password hash, such as $scrypt$ln=15,r=8,p=3$SALT$HASH")
        }
        var alphabet = Base64.Alphabet.unpadded
        switch parts[1] {
        case "scrypt": method = .scrypt(try Self.scrypt(parts))
        case "argon2id": method = .argon2id(try Self.argon2(parts))
        case "7":
            method = .mosquitto(iterations: try Self.iterations(parts))
            alphabet = .standard
        default: throw FormatError("expected $scrypt$, $argon2id$ or mosquitto's $7$")
        }
        guard let salt = Base64.decode(parts[parts.count - 2], alphabet: alphabet), 8...64 ~= salt.count,
            let hash = Base64.decode(parts[parts.count - 1], alphabet: alphabet), 16...64 ~= hash.count
        else { throw FormatError("the salt and the hash must be Base64, of 8 to 64 and of 16 to 64 bytes") }
        self.salt = salt
        self.hash = hash
    }

    private static func scrypt(_ parts: [Substring]) throws(FormatError) -> Scrypt {
        guard parts.count == 5, let numbers = numbers(parts[2], "ln", "r", "p") else {
            throw FormatError("expected $scrypt$ln=15,r=8,p=3$SALT$HASH")
        }
        guard let cost = Scrypt(logarithm: numbers[0], blockSize: numbers[1], parallelism: numbers[2]) else {
            throw FormatError("scrypt with these parameters takes more than 128 MiB, or too long")
        }
        return cost
    }

    private static func argon2(_ parts: [Substring]) throws(FormatError) -> Argon2 {
        guard parts.count == 6, parts[2] == "v=19", let numbers = numbers(parts[3], "m", "t", "p") else {
            throw FormatError("expected $argon2id$v=19$m=19456,t=2,p=1$SALT$HASH")
        }
        guard let cost = Argon2(memory: numbers[0], passes: numbers[1], lanes: numbers[2]) else {
            throw FormatError("Argon2id with these parameters takes more than 128 MiB, or too long")
        }
        guard Argon2.isAvailable else { throw FormatError("Argon2id needs OpenSSL 3.2 or later") }
        return cost
    }

    private static func iterations(_ parts: [Substring]) throws(FormatError) -> Int {
        guard parts.count == 5, let iterations = number(parts[2]), 1...2_000_000 ~= iterations else {
            throw FormatError("expected $7$ITERATIONS$SALT$HASH with 2,000,000 iterations at most")
        }
        return iterations
    }

    /// The values of a list such as `ln=15,r=8,p=3`, which must have exactly these names; otherwise `nil`.
    private static func numbers(_ text: Substring, _ names: String...) -> [Int]? {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        guard parts.count == names.count else { return nil }
        var values: [Int] = []
        for (part, name) in zip(parts, names) {
            guard part.hasPrefix("\(name)="), let value = number(part.dropFirst(name.utf8.count + 1)) else {
                return nil
            }
            values.append(value)
        }
        return values
    }

    /// Parses a number in its only valid form; `nil` for anything else.
    private static func number(_ text: Substring) -> Int? {
        guard 1...9 ~= text.utf8.count, text.utf8.allSatisfy({ 0x30...0x39 ~= $0 }), text == "0" || text.first != "0"
        else { return nil }
        return Int(text)
    }
}

/// The cost of an Argon2id computation (RFC 9106 §3.1), if OpenSSL has it.
struct Argon2: Sendable, Hashable {
    /// In KiB.
    let memory: Int
    let passes: Int
    let lanes: Int

    /// `nil` if a computation would take more than 128 MiB, or more than 1 GiB in all passes together.
    init?(memory: Int, passes: Int, lanes: Int) {
        guard 1...16 ~= lanes, 8 * lanes...128 * 1024 ~= memory, 1...1000 ~= passes, memory * passes <= 1 << 20 else {
            return nil
        }
        self.memory = memory
        self.passes = passes
        self.lanes = lanes
    }

    /// Whether the linked OpenSSL has it; versions from 3.2 on do.
    static var isAvailable: Bool {
        guard Library.isReady, let function = unsafe EVP_KDF_fetch(nil, "ARGON2ID", nil) else {
            ERR_clear_error()
            return false
        }
        unsafe EVP_KDF_free(function)
        return true
    }

    func stretch(_ password: Span<UInt8>, salt: Span<UInt8>, count: Int) throws(CryptographyError) -> [UInt8] {
        guard Library.isReady, let function = unsafe EVP_KDF_fetch(nil, "ARGON2ID", nil) else {
            throw .last("there is no Argon2id")
        }
        defer { unsafe EVP_KDF_free(function) }
        guard let context = unsafe EVP_KDF_CTX_new(function) else { throw .last("there is no Argon2id") }
        defer { unsafe EVP_KDF_CTX_free(context) }
        var (memory, passes, lanes) = (UInt32(memory), UInt32(passes), UInt32(lanes))
        let key = unsafe password.withUnsafeBytes { password in
            unsafe salt.withUnsafeBytes { salt in
                unsafe withUnsafeMutablePointer(to: &memory) { memory in
                    unsafe withUnsafeMutablePointer(to: &passes) { passes in
                        unsafe withUnsafeMutablePointer(to: &lanes) { lanes in
                            let parameters = unsafe [
                                Self.octets("pass", password), Self.octets("salt", salt),
                                Self.number("memcost", memory), Self.number("iter", passes),
                                Self.number("lanes", lanes), OSSL_PARAM_construct_end(),
                            ]
                            return unsafe filled(count) { key in
                                unsafe EVP_KDF_derive(context, key, count, parameters) == 1
                            }
                        }
                    }
                }
            }
        }
        guard let key else { throw .last("no key") }
        return key
    }

    // OpenSSL keeps the pointers to the names, so they must stay valid.

    private static func octets(_ name: StaticString, _ bytes: UnsafeRawBufferPointer) -> OSSL_PARAM {
        unsafe OSSL_PARAM_construct_octet_string(
            key(name), UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count)
    }

    private static func number(_ name: StaticString, _ value: UnsafeMutablePointer<UInt32>) -> OSSL_PARAM {
        unsafe OSSL_PARAM_construct_uint32(key(name), value)
    }

    private static func key(_ name: StaticString) -> UnsafePointer<CChar> {
        unsafe UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self)
    }
}
