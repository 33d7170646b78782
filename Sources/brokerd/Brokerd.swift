internal import ArgumentParser
internal import Broker
internal import Logging
internal import WSTransport

/// The server's command line: options, signals, shutdown.
@main
struct Brokerd: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "brokerd",
        abstract: "A publish/subscribe message broker that speaks WebSocket and HTTP.",
        discussion: """
            Without options it serves 127.0.0.1:8080, keeps its data in ./data and accepts every client on this machine.

              brokerd                                        try it
              brokerd --listen 127.0.0.1:9000 --data-dir /var/lib/broker
              brokerd --config /etc/broker/broker.yaml       every setting; see Config/broker.yaml
              brokerd --config broker.yaml --check           report its errors and exit

            Environment variables set any setting except those of list items, and override the file:
            BROKER_LIMITS_MESSAGE=4MiB is limits.message: 4MiB.

            SIGTERM and SIGINT shut down gracefully, SIGHUP reloads the configuration. Changed certificates are
            loaded automatically.
            """,
        version: "brokerd \(BrokerVersion.current)")

    @Option(help: ArgumentHelp("Read settings from a YAML file.", valueName: "file"))
    var config: String?

    @Option(
        help: ArgumentHelp(
            "Listen on this address instead; :PORT listens on this machine only. May be repeated.",
            valueName: "address:port"))
    var listen: [String] = []

    @Option(help: ArgumentHelp("The data directory.", valueName: "directory"))
    var dataDir: String?

    @Option(help: ArgumentHelp("error, warning, info or debug.", valueName: "level"))
    var logLevel: String?

    @Flag(help: "Check the settings and exit: 0 if they are correct, otherwise 1.")
    var check = false

    static func main() {
        StandardStreams.fillGaps()
        main(nil)
    }

    func run() throws {
        let settings: Settings
        do {
            settings = try readSettings()
        } catch let error as ConfigurationErrors {
            Self.complain(error.description)
            throw ExitCode(1)
        }
        if check { return try report(settings) }
        var signals = SignalSet()
        let supervisor: Supervisor?
        do throws(Errno) {
            supervisor = try Supervisor.ofProcess()
        } catch {
            Self.complain("brokerd: cannot notify the service manager at NOTIFY_SOCKET: \(error)")
            supervisor = nil
        }
        let descriptors = Machine.raiseDescriptorLimit()
        let broker: Broker
        do throws(BrokerError) {
            broker = try Broker(settings, from: options.source)
        } catch {
            Self.complain("brokerd: \(Self.placed(error, options.places))")
            throw ExitCode(1)
        }
        let log = LineLogHandler.logger(settings.log.format, broker.logThreshold)
        warn(of: settings, log)
        for (name, advice) in ConfigurationEnvironment.ofProcess().ineffective {
            log.warning(
                "an environment variable matches no setting", metadata: ["name": "\(name)", "advice": "\(advice)"])
        }
        if let aside = broker.movedAside {
            log.error(
                "the store was damaged and was moved aside; created an empty one",
                metadata: ["path": "\(aside)"])
        }
        if let milliseconds = broker.checkMilliseconds {
            log.debug(
                "the store was changed after its last commit, so its pages were checked",
                metadata: ["milliseconds": "\(milliseconds)"])
        }
        if descriptors < Broker.descriptorsNeeded(for: settings.limits.connections) {
            log.warning(
                "fewer file descriptors than limits.connections needs; clients beyond them are refused",
                metadata: ["descriptors": "\(descriptors)", "connections": "\(settings.limits.connections)"])
        }
        log.info(
            "listening on \(broker.listen.joined(separator: ", "))",
            metadata: [
                "data": "\(settings.dataDirectory)", "admin": "\(settings.adminSocketPath)",
                "version": "\(BrokerVersion.current)",
            ])
        let sink = LogSink(log)
        broker.logEvents { sink.write($0) }
        supervisor?.tell(.ready, .status("listening on \(broker.listen.joined(separator: ", "))"))
        guard serve(broker, &signals, sink, supervisor) == .again else { return }
        // Sockets that a service manager has passed are closed, and it passes them again.
        guard !Broker.hasGivenSockets else { throw ExitCode(1) }
        Self.complain("brokerd: cannot restart: \(ProcessImage.begin())")
        throw ExitCode(1)
    }

    /// How serving a broker ends.
    private enum End {
        case stopped
        /// The program must restart.
        case again
    }

    private func serve(
        _ broker: Broker, _ signals: inout SignalSet, _ sink: LogSink, _ supervisor: Supervisor?
    ) -> End {
        var level = broker.logThreshold.state()
        var file = WatchedFile(config)
        // Half the interval in which the service manager expects a sign of life.
        let pause = supervisor?.watchdog.map { max(1, Int($0 / 2_000_000_000)) } ?? 2
        while true {
            let signal = signals.wait(seconds: min(2, pause))
            let log = sink.log
            if let supervisor, supervisor.watchdog != nil, broker.isAlive() { supervisor.tell(.alive) }
            for entry in broker.takeNews() { sink.write(entry) }
            Self.tell(of: broker.logThreshold.state(), before: &level, log)
            switch signal {
            case nil:
                if broker.needsRestart, isReadable(log) {
                    supervisor?.tell(.reloading)
                    log.info("restarting with the copy of another broker's store")
                    broker.drain()
                    return .again
                }
                report(broker.takeOverCertificates(), log)
                broker.takeOverRules()
                if let news = broker.takeOverUsers() { report(news, log) }
                if let change = file.change() { log.warning("\(change)", metadata: ["file": "\(config ?? "")"]) }
                if let bytes = broker.returnMemory() {
                    log.debug(
                        "returned the memory of disconnected clients to the system", metadata: ["bytes": "\(bytes)"])
                }
            case .terminate, .interrupt:
                supervisor?.tell(.stopping)
                log.info("shutting down")
                broker.drain()
                log.info("stopped")
                return .stopped
            case .hangUp:
                supervisor?.tell(.reloading)
                file = WatchedFile(config)
                do {
                    let new = try readSettings()
                    if let refusal = new.refusalToListen() { throw ValidationError(refusal) }
                    let fixed = try broker.reload(new)
                    let log = LineLogHandler.logger(new.log.format, broker.logThreshold)
                    sink.log = log
                    level = broker.logThreshold.state()
                    warn(of: new, log)
                    log.info(
                        "settings reloaded",
                        metadata: fixed.isEmpty ? [:] : ["needs_restart": "\(fixed.joined(separator: " "))"])
                    supervisor?.tell(.ready, .status("settings reloaded"))
                } catch {
                    broker.reloads.failed("\(error)")
                    log.error("the settings have errors; keeping the old ones", metadata: ["errors": "\(error)"])
                    supervisor?.tell(.ready, .status("the settings have errors; the old ones stay in force"))
                }
            }
        }
    }

    /// Whether the program could begin again with the settings as they are now.
    private func isReadable(_ log: Logger) -> Bool {
        do {
            let settings = try readSettings()
            guard let refusal = settings.refusalToListen() else { return true }
            throw ValidationError(refusal)
        } catch {
            log.error(
                "cannot restart with the copy of another broker's store, because the settings have errors",
                metadata: ["errors": "\(error)"])
            return false
        }
    }

    /// Logs that an administrator has set a level, or that its time is over.
    private static func tell(of new: LogThreshold.State, before old: inout LogThreshold.State, _ log: Logger) {
        guard new != old else { return }
        // A short period may be over before it is noticed here.
        if new.choices != old.choices, let last = new.last {
            log.warning("an administrator has set the log level", metadata: ["level": "\(last)"])
        }
        if new.chosen == nil {
            log.info("the log level is that of the configuration again", metadata: ["level": "\(new.level)"])
        }
        old = new
    }

    private func warn(of settings: Settings, _ log: Logger) {
        for file in Broker.exposedKeys(in: settings) {
            log.warning("a private key is readable by other users: chmod go-rwx", metadata: ["key": "\(file)"])
        }
        for warning in settings.ruleWarnings + Broker.placeWarnings(in: settings) { log.warning("\(warning)") }
    }

    private func report(_ news: [CertificateNews], _ log: Logger) {
        for one in news {
            switch one {
            case .takenOver(let certificate):
                log.info("loaded a changed certificate", metadata: ["certificate": "\(certificate)"])
            case .refused(let reason):
                log.error("refused a changed certificate; keeping the old one", metadata: ["error": "\(reason)"])
            }
        }
    }

    private func report(_ news: AccessNews, _ log: Logger) {
        switch news {
        case .takenOver(let file, let users):
            log.info(
                "loaded the changed file of users and tokens", metadata: ["file": "\(file)", "entries": "\(users)"])
        case .refused(let errors):
            log.error(
                "the file of users and tokens has errors; keeping the previous users and tokens",
                metadata: ["errors": "\(errors)"])
        }
    }

    private var options: SettingOptions {
        SettingOptions(config: config, listen: listen, dataDir: dataDir, logLevel: logLevel)
    }

    private func readSettings() throws -> Settings { try options.read(nil) }

    private func report(_ settings: Settings) throws {
        for (name, advice) in ConfigurationEnvironment.ofProcess().ineffective {
            Self.complain("\(name): warning: there is no such setting: \(advice)")
        }
        for warning in Broker.warnings(in: settings) {
            Self.complain("\(config ?? "settings"): warning: \(warning)")
        }
        let broken = Broker.errors(in: settings)
        let places = options.places
        for error in broken { Self.complain("\(places.error(error))") }
        if !broken.isEmpty { throw ExitCode(1) }
        print("\(config ?? "settings"): ok")
    }

    /// The error with the position of its setting, if the setting is written somewhere.
    private static func placed(_ error: BrokerError, _ places: ConfigurationPlaces) -> String {
        let placed: ConfigurationError? =
            if let key = error.key { places.error("\(error)", at: key) } else { places.error("\(error)") }
        guard let placed, !placed.key.isEmpty else { return "\(error)" }
        return "\(placed)"
    }

    private static func complain(_ text: String) { StandardStreams.writeError(text + "\n") }
}
