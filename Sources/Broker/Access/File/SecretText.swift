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
