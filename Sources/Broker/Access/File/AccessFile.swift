/// The users file: users, tokens and revocations, one JSON object a line.
///
/// The broker and `brokerctl` share this code.
package struct AccessFile: Sendable {
    /// In the order of the file.
    package var entries: [AccessEntry] = []

    package init() {}

    /// The maximum size of the file, in bytes.
    package static let maximumSize = 256 << 20

    /// Parses the lines of a file; throws all errors together.
    ///
    /// - Parameters:
    ///   - file: the file's name in errors.
    ///   - isKept: whether the file will be written again, so that unchanged lines must be kept.
    package init(_ bytes: [UInt8], file: String, isKept: Bool = true) throws(AccessFileErrors) {
        var errors: [AccessFileErrors.One] = []
        var seen = Seen()
        var (start, number) = (0, 1)
        while start < bytes.count {
            let end = bytes[start...].firstIndex(of: 10) ?? bytes.count
            let line = bytes.span.extracting(start..<end)
            if !line.isBlank {
                do throws(AccessMistake) {
                    let entry = try Self.entry(line, number, isKept: isKept)
                    try seen.note(entry)
                    entries.append(entry)
                } catch {
                    errors.append(AccessFileErrors.One(file: file, line: number, message: error.message))
                }
            }
            (start, number) = (end + 1, number + 1)
        }
        guard errors.isEmpty else { throw AccessFileErrors(errors) }
    }

    private static func entry(
        _ line: Span<UInt8>, _ number: Int, isKept: Bool
    ) throws(AccessMistake) -> AccessEntry {
        let object: JSONObject
        do throws(JSONError) { object = try JSONObject.parse(line) } catch {
            throw AccessMistake("expected a JSON object: \(error)")
        }
        let content = try AccessEntry.Content(object)
        return AccessEntry(content, line: isKept ? line.copied : [], number: number)
    }

    /// The names seen so far, each with its line.
    private struct Seen {
        private var users: [ExactText: Int] = [:]
        private var tokens: [ExactText: Int] = [:]

        mutating func note(_ entry: AccessEntry) throws(AccessMistake) {
            switch entry.content {
            case .user(let user):
                if let first = users.updateValue(entry.number, forKey: user.name.exact) {
                    throw again(user.name, first)
                }
            case .token(let token):
                if let first = tokens.updateValue(entry.number, forKey: token.id.exact) { throw again(token.id, first) }
            case .revoked: break
            }
        }

        private func again(_ name: String, _ first: Int) -> AccessMistake {
            AccessMistake("expected each name once, found \"\(name)\" a second time (first in line \(first))")
        }
    }
}

/// All errors of a users file.
package struct AccessFileErrors: Error, Sendable, Equatable, CustomStringConvertible {
    package struct One: Sendable, Equatable, CustomStringConvertible {
        package let file: String
        /// The line number; 0 for the file as a whole.
        package let line: Int
        package let message: String

        /// `FILE:LINE: MESSAGE`; the message alone for an error that is not about a file.
        package var description: String {
            if file.isEmpty { return message }
            return line > 0 ? "\(file):\(line): \(message)" : "\(file): \(message)"
        }
    }

    /// In the order of the lines.
    package let errors: [One]
    /// Whether a requested user or token does not exist.
    package private(set) var isAbsence = false

    /// The maximum number of errors that are shown.
    static let maximumCount = 100

    init(_ errors: [One]) {
        var shown = Array(errors.prefix(Self.maximumCount))
        if let last = shown.last, errors.count > shown.count {
            shown.append(One(file: last.file, line: 0, message: "\(errors.count - shown.count) more errors"))
        }
        self.errors = shown
    }

    /// Creates the error for a user or token that does not exist.
    init(absent message: String) {
        self.init("", message)
        isAbsence = true
    }

    init(_ file: String, _ message: String) { errors = [One(file: file, line: 0, message: message)] }

    /// The errors, one a line.
    package var description: String { errors.map(\.description).joined(separator: "\n") }
}

extension Span where Element == UInt8 {
    fileprivate var isBlank: Bool {
        for index in indices where self[index] != 0x20 && self[index] != 0x0D && self[index] != 0x09 { return false }
        return true
    }
}

// MARK: On disk

extension AccessFile {
    /// Reads a file; a missing one has no entries, and one that other users may read or write is refused.
    ///
    /// - Parameter isKept: whether the file will be written again.
    package static func read(_ path: String, isKept: Bool = true) throws(AccessFileErrors) -> AccessFile {
        let bytes = try troubled(path) { () throws(PrivateFile.Trouble) in
            try PrivateFile.read(path, atMost: maximumSize)
        }
        return try AccessFile(bytes ?? [], file: path, isKept: isKept)
    }

    /// Reads a file, changes it and writes it, under a lock that other writers wait for.
    ///
    /// The new file is complete and on disk before it replaces the old one. If `change` throws, the file is left as it
    /// was.
    package static func update<Value>(
        _ path: String, _ change: (inout AccessFile) throws(AccessFileErrors) -> Value
    ) throws(AccessFileErrors) -> Value {
        let turn = try turn(to: path)
        defer { turn.end() }
        var file = try read(path)
        let value = try change(&file)
        let bytes = file.bytes
        try troubled(path) { () throws(PrivateFile.Trouble) in try PrivateFile.replace(path, with: bytes) }
        return value
    }

    private static func turn(to path: String) throws(AccessFileErrors) -> PrivateFile.Turn {
        do throws(PrivateFile.Trouble) { return try PrivateFile.Turn(to: path) } catch {
            throw AccessFileErrors(path, error.message)
        }
    }

    private static func troubled<Value>(
        _ path: String, _ body: () throws(PrivateFile.Trouble) -> Value
    ) throws(AccessFileErrors) -> Value {
        do throws(PrivateFile.Trouble) { return try body() } catch { throw AccessFileErrors(path, error.message) }
    }

    /// The contents of the file.
    package var bytes: [UInt8] {
        var bytes: [UInt8] = []
        for entry in entries {
            bytes += entry.bytes
            bytes.append(10)
        }
        return bytes
    }
}

// MARK: Looking for entries

extension AccessFile {
    /// The index of a user's entry; `nil` if there is none.
    package func place(ofUser name: String) -> Int? {
        entries.firstIndex { if case .user(let user) = $0.content { user.name.exact == name.exact } else { false } }
    }

    /// The index of a token's entry; `nil` if there is none.
    package func place(ofToken id: String) -> Int? {
        entries.firstIndex { if case .token(let token) = $0.content { token.id.exact == id.exact } else { false } }
    }

    package var users: [AccessUser] {
        entries.compactMap { if case .user(let user) = $0.content { user } else { nil } }
    }

    package var tokens: [AccessToken] {
        entries.compactMap { if case .token(let token) = $0.content { token } else { nil } }
    }
}
