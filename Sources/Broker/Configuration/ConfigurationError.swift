/// One error in a configuration, and its position.
package struct ConfigurationError: Error, Equatable, Sendable {
    /// The file, as named by the caller.
    package let file: String
    /// The line, from 1; 0 for the whole file.
    package let line: Int
    /// The column in characters, from 1; 0 for the whole file.
    package let column: Int
    /// The setting's path, such as `listen[0].address`; empty if the error concerns no single setting.
    package let key: String
    /// What was expected and what was found.
    package let message: String

    package init(file: String, line: Int, column: Int, key: String, message: String) {
        self.file = file
        self.line = line
        self.column = column
        self.key = key
        self.message = message
    }
}

extension ConfigurationError: CustomStringConvertible {
    /// `FILE:LINE:COLUMN: key.path: message`.
    package var description: String {
        let place = line > 0 ? "\(file):\(line):\(column)" : file
        return key.isEmpty ? "\(place): \(message)" : "\(place): \(key): \(message)"
    }
}

/// All errors in a configuration, in the order of the file; never empty.
package struct ConfigurationErrors: Error, Equatable, Sendable {
    /// At most ``maximumCount`` of them, and one more that says so if there were others.
    package let errors: [ConfigurationError]

    /// The number of errors after which checking stops.
    package static let maximumCount = 100

    package init(errors: [ConfigurationError]) {
        self.errors = errors
    }
}

extension ConfigurationErrors: CustomStringConvertible {
    /// The errors, one a line.
    package var description: String { errors.map(\.description).joined(separator: "\n") }
}

/// All keys of a configuration, by section.
package enum ConfigurationKeys {
    /// The keys of each section, which is named by its path, list items by `[]`.
    ///
    /// Settings that this version does not support are included, so that errors can say so.
    static let sections: [String: [String]] = {
        var sections: [String: [String]] = [:]
        func gather(_ members: [SettingOutline], _ path: String) {
            sections[path] = members.map(\.key)
            for member in members where !member.members.isEmpty { gather(member.members, member.path(in: path)) }
        }
        gather(Settings.record.members.map(\.outline), "")
        return sections
    }()

    /// The message for a key that is not in `known`, the keys of its section.
    static func advice(on key: String, among known: [String]) -> String {
        if let nearest = nearest(to: key, among: known) { return "unknown key, did you mean \"\(nearest)\"?" }
        let others = sections.filter { $0.value.contains(key) }.keys
        if others.count == 1, let other = others.first, !other.hasSuffix("[]") {
            return "unknown key, did you mean \"\(other.appendingKey(key))\"?"
        }
        return "unknown key, expected \(known.count == 1 ? "" : "one of ")\(known.joined(separator: ", "))"
    }

    /// The candidate with the fewest edits from `key`, if a typing mistake explains them.
    package static func nearest(to key: String, among candidates: [String]) -> String? {
        let key = key.lowercased()
        guard key.utf8.count <= 64 else { return nil }
        let distances = candidates.map { ($0, distance(Array(key.utf8), Array($0.utf8))) }
        guard let best = distances.min(by: { $0.1 < $1.1 }) else { return nil }
        return best.1 <= max(1, min(3, best.0.utf8.count / 3)) ? best.0 : nil
    }

    /// The least number of inserted, removed, replaced and swapped bytes (optimal string alignment).
    private static func distance(_ first: [UInt8], _ second: [UInt8]) -> Int {
        var rows = [Array(0...second.count)]
        for row in 0..<first.count {
            var next = [row + 1]
            for column in 0..<second.count {
                let replaced = rows[row][column] + (first[row] == second[column] ? 0 : 1)
                var best = min(replaced, rows[row][column + 1] + 1, next[column] + 1)
                if row > 0, column > 0, first[row] == second[column - 1], first[row - 1] == second[column] {
                    best = min(best, rows[row - 1][column - 1] + 1)
                }
                next.append(best)
            }
            rows.append(next)
        }
        return rows[first.count][second.count]
    }
}
