internal import ArgumentParser
internal import Broker

/// The settings options of the command line.
struct SettingOptions: Sendable {
    let config: String?
    let listen: [String]
    let dataDir: String?
    let logLevel: String?

    /// Reads the settings: the file, overridden by the environment, and both overridden by the command line.
    ///
    /// - Parameter given: the content to use in place of the file; `nil` for the file as it is now.
    func read(_ given: GivenConfiguration?) throws -> Settings {
        let environment = ConfigurationEnvironment.ofProcess()
        var settings =
            if let given {
                try ConfigurationReader.parse(
                    given.bytes, file: given.name ?? config ?? "configuration", environment)
            } else {
                try ConfigurationReader.read(path: config, environment: environment)
            }
        if !listen.isEmpty {
            settings.listen = try listen.map { text in
                guard let address = ListenAddress(text) else {
                    throw ValidationError(
                        "--listen: expected ADDRESS:PORT, [ADDRESS]:PORT, :PORT or unix:/PATH, found \"\(text)\".")
                }
                return Settings.Listener(address: address)
            }
        }
        if let dataDir {
            guard !dataDir.isEmpty else { throw ValidationError("--data-dir: expected a directory, found nothing.") }
            settings.dataDirectory = dataDir
        }
        if let logLevel {
            guard let level = Settings.Log.Level(rawValue: logLevel) else {
                throw ValidationError("--log-level: expected error, warning, info or debug, found \"\(logLevel)\".")
            }
            settings.log.level = level
        }
        return settings
    }

    /// Where the settings are written.
    var places: ConfigurationPlaces {
        let given = [listen.isEmpty ? nil : "listen", dataDir.map { _ in "data_dir" }]
        return ConfigurationPlaces(
            file: config, environment: .ofProcess(), overridden: given.compactMap(\.self))
    }

    /// The source of these settings, also for administrators that ask what another file would change.
    var source: SettingsSource {
        SettingsSource(file: config) { [self] (given) throws(ConfigurationErrors) in
            do {
                return try read(given)
            } catch let errors as ConfigurationErrors {
                throw errors
            } catch {
                // The command line was valid at the start.
                let message = "\(error)"
                throw ConfigurationErrors(
                    errors: [ConfigurationError(file: "command line", line: 0, column: 0, key: "", message: message)])
            }
        }
    }
}
