/// The file of users and tokens: an object a line.
///
/// The broker and `brokerctl` read and write it by this code.
package struct AccessFile: Sendable {
    /// In the order of the file.
    package var entries: [AccessEntry] = []

    package init() {}

    /// The largest file that is read, in bytes.
    package static let maximumSize = 256 << 20

    /// Reads the lines of a file, or says all that is wrong with them.
    ///
    /// - Parameters:
    ///   - file: the name that errors give it.
    ///   - isKept: whether it is to be written again, so that lines are kept as they are.
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
            throw AccessMistake("expected an object of JSON: \(error)")
        }
        let content = try AccessEntry.Content(object)
        return AccessEntry(content, line: isKept ? line.copied : [], number: number)
    }

    /// Names that are there, each with its line.
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

/// All that is wrong with a file of users and tokens.
package struct AccessFileErrors: Error, Sendable, Equatable, CustomStringConvertible {
    package struct One: Sendable, Equatable, CustomStringConvertible {
        package let file: String
        /// 0: the file as a whole.
        package let line: Int
        package let message: String

        /// `FILE:LINE: MESSAGE`; without a file, it is about what was asked for.
        package var description: String {
            if file.isEmpty { return message }
            return line > 0 ? "\(file):\(line): \(message)" : "\(file): \(message)"
        }
    }

    /// In the order of the lines.
    package let errors: [One]
    /// Whether what was asked for is not there.
    package private(set) var isAbsence = false

    /// More are not shown.
    static let maximumCount = 100

    init(_ errors: [One]) {
        var shown = Array(errors.prefix(Self.maximumCount))
        if let last = shown.last, errors.count > shown.count {
            shown.append(One(file: last.file, line: 0, message: "\(errors.count - shown.count) more errors"))
        }
        self.errors = shown
    }

    /// What was asked for is not there.
    init(absent message: String) {
        self.init("", message)
        isAbsence = true
    }

    init(_ file: String, _ message: String) { errors = [One(file: file, line: 0, message: message)] }

    /// One a line.
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
    /// Reads a file; one that is not there has no lines, and one that others may read or write is refused.
    ///
    /// - Parameter isKept: whether it is to be written again.
    package static func read(_ path: String, isKept: Bool = true) throws(AccessFileErrors) -> AccessFile {
        let bytes = try troubled(path) { () throws(PrivateFile.Trouble) in
            try PrivateFile.read(path, atMost: maximumSize)
        }
        return try AccessFile(bytes ?? [], file: path, isKept: isKept)
    }

    /// Reads a file, has `change` do something to it, and writes it, while nobody else does the same.
    ///
    /// What is written is complete and on disk before it takes the old file's place. Throws `change`'s error, too, and
    /// the file is as it was then.
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

    /// The file as it is written.
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
    /// The place of a user's entry; `nil`: there is none.
    package func place(ofUser name: String) -> Int? {
        entries.firstIndex { if case .user(let user) = $0.content { user.name.exact == name.exact } else { false } }
    }

    /// The place of a token's entry; `nil`: there is none.
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
