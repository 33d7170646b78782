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
