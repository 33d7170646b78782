/// Where a configuration's settings are written, for errors that are found only when the settings are used.
package struct ConfigurationPlaces {
    /// The name of the configuration in errors.
    private let name: String
    /// The file, overridden by the environment; `nil` if both are empty or cannot be read.
    private let root: ConfigurationNode?
    private let environment: ConfigurationEnvironment
    /// The keys at the top that neither the file nor the environment decides.
    private let overridden: [String]

    /// Reads a file again; if it has changed meanwhile, places may be wrong or missing.
    ///
    /// - Parameters:
    ///   - file: `nil` if there is none.
    ///   - overridden: the keys at the top that the command line decides.
    package init(file: String?, environment: ConfigurationEnvironment = .none, overridden: [String] = []) {
        name = file ?? "settings"
        self.environment = environment
        self.overridden = overridden
        root = environment.applied(to: file.flatMap(ConfigurationReader.tree)) { _, _, _ in }
    }

    /// The error for a sentence that may begin with a setting's path, such as `log.audit: cannot open it`.
    ///
    /// Has no position if there is no such path, or if the setting has its default.
    package func error(_ sentence: String) -> ConfigurationError {
        guard let colon = sentence.firstRange(of: ": "), let mark = place(of: sentence[..<colon.lowerBound]) else {
            return ConfigurationError(file: name, line: 0, column: 0, key: "", message: sentence)
        }
        return error(
            String(sentence[colon.upperBound...]), at: mark, key: String(sentence[..<colon.lowerBound]))
    }

    /// The error about a setting; `nil` if the setting has its default.
    package func error(_ message: String, at key: String) -> ConfigurationError? {
        place(of: key[...]).map { error(message, at: $0, key: key) }
    }

    private func error(_ message: String, at mark: YAMLMark, key: String) -> ConfigurationError {
        let variable = environment.name(of: mark)
        return ConfigurationError(
            file: variable ?? name, line: mark.line, column: variable == nil ? mark.column : 0, key: key,
            message: message)
    }

    /// The position of a setting's value, or of the section or list that should contain it; `nil` if there is none.
    private func place(of key: Substring) -> YAMLMark? {
        var (found, node): (YAMLMark?, ConfigurationNode?) = (nil, root)
        for (depth, part) in key.split(separator: ".").enumerated() {
            let pieces = part.split(separator: "[")
            guard let name = pieces.first, depth > 0 || !overridden.contains(String(name)) else { return nil }
            node = node?[String(name)]
            for index in pieces.dropFirst() {
                guard case .list(let items) = node?.content, let place = Int(index.dropLast()),
                    items.indices.contains(place)
                else { return node?.mark ?? found }
                found = node?.mark
                node = items[place]
            }
            guard let node else { return found }
            found = node.mark
        }
        return found
    }
}
