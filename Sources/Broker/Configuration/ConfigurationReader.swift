internal import CLinux
internal import Glibc
internal import WSTransport

/// A configuration that was not read from the broker's file.
package struct GivenConfiguration: Sendable {
    package let bytes: [UInt8]
    /// The name of the configuration in errors; `nil` for that of the broker's own file.
    package let name: String?

    package init(bytes: [UInt8], name: String?) {
        self.bytes = bytes
        self.name = name
    }
}

/// Reads a configuration file: YAML to ``Settings``, or all its errors.
///
/// The start of the broker, a reload and every check of a file run this same code.
package enum ConfigurationReader {
    /// The largest file accepted, in bytes.
    package static let maximumFileSize = 1 << 20

    /// Reads the file at `path`, overridden by the environment.
    ///
    /// An empty file means the defaults.
    ///
    /// - Parameter path: `nil` if there is no file.
    package static func read(
        path: String?, environment: ConfigurationEnvironment = .none
    ) throws(ConfigurationErrors) -> Settings {
        try parse(
            path.map { (path) throws(ConfigurationErrors) in try contents(of: path) } ?? [], file: path ?? "",
            environment)
    }

    /// Parses `bytes`; `file` is the name that errors show.
    package static func parse(
        _ bytes: [UInt8], file: String, _ environment: ConfigurationEnvironment = .none
    ) throws(ConfigurationErrors) -> Settings {
        var bytes = bytes
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { bytes.removeFirst(3) }
        if let (mark, message) = refusal(of: bytes) {
            throw ConfigurationErrors(file: file, [(mark, "", message)], environment)
        }
        guard var parser = YAMLEventParser(bytes) else {
            throw ConfigurationErrors(file: file, [(YAMLMark(line: 1, column: 1), "", "out of memory")], environment)
        }
        var tree = ConfigurationTree()
        var settings = Settings()
        var decoder = ConfigurationDecoder()
        decoder.topicLimits = settings.topicLimits
        var syntax: [(mark: YAMLMark, key: String, message: String)] = []
        do throws(YAMLSyntaxError) {
            let file = try tree.read(&parser)
            if let root = environment.applied(to: file, { decoder.fail($0, $1, $2) }) {
                decoder.decode(Settings.record, root, "", into: &settings)
            }
        } catch {
            syntax = [(error.mark, "", error.message)]
        }
        let found = tree.errors + decoder.errors + syntax
        if !found.isEmpty { throw ConfigurationErrors(file: file, found, environment) }
        return settings
    }

    /// The tree of the file at `path`; `nil` if it is empty or has errors.
    static func tree(path: String) -> ConfigurationNode? {
        guard var bytes = try? contents(of: path), refusal(of: bytes) == nil else { return nil }
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { bytes.removeFirst(3) }
        guard var parser = YAMLEventParser(bytes) else { return nil }
        var tree = ConfigurationTree()
        do throws(YAMLSyntaxError) { return try tree.read(&parser) } catch { return nil }
    }

    /// The reason and the position, if `bytes` are not text; libyaml gets text only.
    private static func refusal(of bytes: [UInt8]) -> (YAMLMark, String)? {
        guard bytes.count <= maximumFileSize else {
            let size = SettingsWriter.size(maximumFileSize)
            return (YAMLMark(line: 1, column: 1), "expected at most \(size), found a larger file")
        }
        if let offset = bytes.firstIndex(of: 0) {
            return (YAMLMark(endOf: bytes[..<offset]), "expected text, found a NUL byte")
        }
        guard let offset = firstInvalidByte(bytes) else { return nil }
        return (YAMLMark(endOf: bytes[..<offset]), "expected UTF-8, found the byte \(bytes[offset])")
    }

    private static func firstInvalidByte(_ bytes: [UInt8]) -> Int? {
        var decoder = UTF8.ForwardParser()
        var iterator = bytes.makeIterator()
        var offset = 0
        while true {
            switch decoder.parseScalar(from: &iterator) {
            case .valid(let scalar): offset += scalar.count
            case .emptyInput: return nil
            case .error: return offset
            }
        }
    }

    private static func contents(of path: String) throws(ConfigurationErrors) -> [UInt8] {
        do throws(Errno) {
            let file = try FileDescriptor.reading(path)
            var status = stat()
            guard unsafe fstat(file.rawValue, &status) == 0 else { throw .current }
            switch status.st_mode & S_IFMT {
            case S_IFREG: return try file.readToEnd(atMost: maximumFileSize)
            case S_IFDIR: throw Errno(rawValue: EISDIR)
            default: break
            }
        } catch {
            throw unreadable(path, error.description)
        }
        throw unreadable(path, "no regular file")
    }

    private static func unreadable(_ path: String, _ reason: String) -> ConfigurationErrors {
        let message = "expected a readable file, found: \(reason)"
        return ConfigurationErrors(
            errors: [ConfigurationError(file: path, line: 0, column: 0, key: "", message: message)])
    }
}

extension ConfigurationErrors {
    /// Sorts the errors by their position, and truncates the list.
    fileprivate init(
        file: String, _ found: [(mark: YAMLMark, key: String, message: String)],
        _ environment: ConfigurationEnvironment
    ) {
        var errors = found.sorted { $0.mark < $1.mark }.prefix(Self.maximumCount).map { found in
            let variable = environment.name(of: found.mark)
            return ConfigurationError(
                file: variable ?? file, line: found.mark.line, column: variable == nil ? found.mark.column : 0,
                key: found.key, message: found.message)
        }
        if found.count > Self.maximumCount, let last = errors.last {
            let message = "too many errors, the others are not shown"
            errors.append(
                ConfigurationError(file: file, line: last.line, column: last.column, key: "", message: message))
        }
        self.init(errors: errors)
    }
}
