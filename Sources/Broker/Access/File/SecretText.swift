package import Cryptography
internal import Glibc

/// Why a secret is not available: a phrase that does not contain it.
package struct SecretError: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}

/// A secret of the configuration: `file:PATH`, `env:NAME`, or the secret itself.
///
/// Descriptions and mirrors show where the secret is stored, never the secret itself.
package struct SecretText: Sendable, Equatable {
    private let text: String
    /// The maximum size of the file, in bytes.
    private static let maximumSize = 64 << 10

    /// Keeps the text of the setting; the secret itself is not read yet.
    package init(_ text: String) { self.text = text }

    /// Where the secret is stored, as `file:PATH` or `env:NAME`; `nil` if it is in the configuration.
    package var place: String? { text.hasPrefix("file:") || text.hasPrefix("env:") ? text : nil }

    /// Whether the configuration holds the secret itself, and it has fewer than `count` bytes.
    package func isShorter(than count: Int) -> Bool { place == nil && text.utf8.count < count }

    /// Reads the secret, without the line end that an editor adds.
    ///
    /// A file that other users may read is refused.
    package func read() throws(SecretError) -> [UInt8] {
        if text.hasPrefix("env:") {
            let name = String(text.dropFirst(4))
            guard let value = unsafe getenv(name) else { throw SecretError("there is no variable \(name)") }
            return Array(unsafe String(cString: value).utf8)
        }
        guard text.hasPrefix("file:") else { return Array(text.utf8) }
        let path = Self.expanded(String(text.dropFirst(5)))
        let found: [UInt8]?
        do throws(PrivateFile.Trouble) { found = try PrivateFile.read(path, atMost: Self.maximumSize) } catch {
            throw SecretError("\(path): \(error.message)")
        }
        guard let found else { throw SecretError("\(path): there is no such file") }
        return found.last == 0x0A ? Array(found.dropLast()) : found
    }

    /// Expands `${CREDENTIALS_DIRECTORY}`, where systemd puts credentials; no other variable is expanded.
    package static func expanded(_ path: String) -> String {
        let variable = "${CREDENTIALS_DIRECTORY}"
        guard path.hasPrefix(variable), let value = unsafe getenv("CREDENTIALS_DIRECTORY") else { return path }
        return unsafe String(cString: value) + path.dropFirst(variable.count)
    }
}

extension SecretText: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String { place ?? "***" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }
}

/// A token as a client sends it: `bk_`, an id of 8 characters, `_`, and a secret of 43, all letters and digits.
///
/// Scanners for secrets recognise it by the prefix.
package struct OpaqueToken: Sendable, Equatable {
    package let id: String
    /// 256 bits as 43 letters and digits.
    package let secret: String

    package static let prefix = "bk_"
    private static let secretLength = 43

    /// Parses a token; `nil` if the text is not one.
    package init?(_ text: String) {
        let bytes = text.utf8
        guard bytes.count == 3 + 8 + 1 + Self.secretLength, text.hasPrefix(Self.prefix) else { return nil }
        let rest = bytes.dropFirst(3)
        let (id, secret) = (rest.prefix(8), rest.dropFirst(9))
        guard rest.dropFirst(8).first == UInt8(ascii: "_"), id.allSatisfy(Self.isCharacter),
            secret.allSatisfy(Self.isCharacter)
        else { return nil }
        self.id = String(decoding: id, as: UTF8.self)
        self.secret = String(decoding: secret, as: UTF8.self)
    }

    /// Generates a new token.
    package static func make() throws(CryptographyError) -> OpaqueToken {
        var characters: [UInt8] = []
        while characters.count < 8 + secretLength {
            // Bytes from 248 up are skipped, so that each of the 62 characters is equally likely.
            characters += try Secret.random(64).filter { $0 < 248 }.map { alphabet[Int($0 % 62)] }
        }
        let secret = characters[8..<8 + secretLength]
        return OpaqueToken(
            id: String(decoding: characters[..<8], as: UTF8.self), secret: String(decoding: secret, as: UTF8.self))
    }

    private init(id: String, secret: String) {
        self.id = id
        self.secret = secret
    }

    /// The SHA-256 of the secret, 32 bytes; only this is stored.
    package func digest() throws(CryptographyError) -> [UInt8] {
        try HashFunction.sha256.digest(of: secret.utf8Span.span)
    }

    /// The whole token, which is shown to its owner once.
    package var text: String { "\(Self.prefix)\(id)_\(secret)" }

    /// Whether a text has the form of a JWT: three parts separated by dots.
    package static func isJWT(_ text: String) -> Bool { text.utf8.count { $0 == UInt8(ascii: ".") } == 2 }

    /// Whether a text has the form of a token's id.
    package static func isID(_ text: String) -> Bool { text.utf8.count == 8 && text.utf8.allSatisfy(isCharacter) }

    private static let alphabet = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)

    private static func isCharacter(_ byte: UInt8) -> Bool {
        0x30...0x39 ~= byte || 0x41...0x5A ~= byte || 0x61...0x7A ~= byte
    }
}
