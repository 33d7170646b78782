internal import Glibc

/// Why a secret is not available: a phrase that does not repeat it.
package struct SecretError: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}

/// A secret of the configuration: `file:PATH`, `env:NAME`, or the text itself.
///
/// It shows where it is kept, and never itself: neither as a text nor to a mirror.
package struct SecretText: Sendable, Equatable {
    private let text: String
    /// The largest file that is read, in bytes.
    private static let maximumSize = 64 << 10

    /// Keeps a text of the configuration; nothing is read yet.
    package init(_ text: String) { self.text = text }

    /// Where it is kept, as `file:PATH` or `env:NAME`; `nil`: in the configuration.
    package var place: String? { text.hasPrefix("file:") || text.hasPrefix("env:") ? text : nil }

    /// Whether it is known to have fewer bytes, without a look at the place where it is kept.
    package func isShorter(than count: Int) -> Bool { place == nil && text.utf8.count < count }

    /// The bytes of the secret, without the line end that an editor leaves.
    ///
    /// A file that others may read is refused.
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

    /// The one variable that stands for something: where systemd puts credentials.
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
