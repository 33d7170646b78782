internal import ArgumentParser
internal import Broker

/// `brokerctl check`: a plugin for Nagios, Icinga and other programs that run such plugins.
struct CheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Checks the broker for a monitoring system: one line, figures, and an exit status.",
        discussion: """
            The exit status is 0 if all is well, 1 for a warning, 2 if a figure is critical, the broker is not ready \
            or it cannot be reached, and 3 if the state is unknown, for example without the right read.

            The figures, with their default thresholds (warning, critical):
            \(CheckedFigure.manual)

            A figure is bad if it is above its threshold; certificate, if it is below. `off` removes a threshold. Options may be \
            repeated, and take several thresholds separated by commas.

            Examples:
              brokerctl check
              brokerctl check --warning disk=70%,commit=50ms --critical commit=off
              brokerctl check --url https://broker.example.com --token-file /etc/nagios/token --warning certificate=30d
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @Option(help: ArgumentHelp("Thresholds for a warning.", valueName: "name=value,…"))
    var warning: [String] = []

    @Option(help: ArgumentHelp("Thresholds for the critical state.", valueName: "name=value,…"))
    var critical: [String] = []

    func run() async throws {
        let warnings = try Self.thresholds(warning, "--warning")
        let criticals = try Self.thresholds(critical, "--critical")
        let report: CheckReport
        do {
            let status = try await connection.ask(StatusRequest(countsClients: true)).answer
            report = CheckReport(status, warnings: warnings, criticals: criticals)
        } catch let failure as Failure where failure.status != 64 {
            report = CheckReport(failure)
        }
        if connection.json { Output.printJSON(report.json) } else { Output.print(Output.printable(report.line)) }
        if report.state != .ok { throw ExitCode(report.state.rawValue) }
    }

    /// The thresholds in the options; the other figures keep their defaults.
    private static func thresholds(
        _ texts: [String], _ option: String
    ) throws(Failure) -> [CheckedFigure: Double?] {
        var found: [CheckedFigure: Double?] = [:]
        for text in texts.flatMap({ $0.split(separator: ",", omittingEmptySubsequences: false) }) {
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard let figure = CheckedFigure(rawValue: parts[0]) else {
                let known = CheckedFigure.allCases.map(\.rawValue)
                let nearest = ConfigurationKeys.nearest(to: parts[0], among: known)
                let advice =
                    nearest.map { "did you mean \"\($0)\"?" } ?? "expected one of \(known.joined(separator: ", "))"
                throw .usage("\(option): there is no figure \"\(parts[0])\"; \(advice)")
            }
            guard parts.count == 2 else { throw .usage("\(option): expected \(figure)=\(figure.example)") }
            if parts[1] == "off" {
                found[figure] = .some(nil)
            } else if let value = figure.unit.value(of: parts[1]) {
                found[figure] = value
            } else {
                throw .usage("\(option): \(figure): expected \(figure.example) or off, found \"\(parts[1])\"")
            }
        }
        return found
    }
}

/// A figure that has thresholds.
enum CheckedFigure: String, CaseIterable {
    case canary, commit, p99, map, disk, descriptors, connections, memory, certificate, behind, pending

    /// How a threshold is written.
    enum Unit {
        /// In milliseconds; `20ms`, `1s`.
        case time
        /// `85%`.
        case percent
        /// In days; `14d`.
        case days
        case count
        /// In bytes; `64KiB`.
        case bytes

        /// The value of a threshold; `nil` if the text is not one.
        func value(of text: String) -> Double? {
            switch self {
            case .time: Quantity.milliseconds(text)
            case .percent: text.hasSuffix("%") ? Self.number(text.dropLast()) : nil
            case .days: Quantity.seconds(text).map { Double($0) / 86_400 }
            case .count: Self.number(text[...])
            case .bytes: Quantity.bytes(text).map(Double.init)
            }
        }

        private static func number(_ text: Substring) -> Double? {
            Double(decimal: text).flatMap { $0.isFinite && $0 >= 0 ? $0 : nil }
        }

        /// The unit of performance data.
        var symbol: String {
            switch self {
            case .time: "ms"
            case .percent: "%"
            case .bytes: "B"
            case .days, .count: ""
            }
        }
    }

    var unit: Unit {
        switch self {
        case .canary, .commit, .p99: .time
        case .map, .disk, .descriptors, .connections, .memory: .percent
        case .certificate: .days
        case .behind: .count
        case .pending: .bytes
        }
    }

    /// Whether smaller values are worse.
    var isFalling: Bool { self == .certificate }

    var example: String {
        switch unit {
        case .time: "100ms"
        case .percent: "80%"
        case .days: "14d"
        case .count: "10"
        case .bytes: "64MiB"
        }
    }

    /// The default thresholds.
    var standard: (warning: Double?, critical: Double?) {
        switch self {
        case .canary: (1000, nil)
        case .commit: (100, 1000)
        case .map, .disk, .descriptors, .connections: (80, 95)
        // Above 80 % new connections are refused.
        case .memory: (70, 80)
        case .certificate: (14, 3)
        case .p99, .behind, .pending: (nil, nil)
        }
    }

    var meaning: String {
        switch self {
        case .canary: "how long the last test message and write of the readiness probe took"
        case .commit: "how long the store's last commit took, sync included"
        case .p99: "the longest time that 99 of 100 commits have taken since the start"
        case .map: "the size of the store, as a share of store.maximum_size"
        case .disk: "how full the file system of the data directory is"
        case .descriptors: "open descriptors, as a share of the process's limit"
        case .connections: "connections, as a share of limits.connections"
        case .memory: "memory that clients use, as a share of limits.memory"
        case .certificate: "the time until a listener's certificate expires"
        case .behind: "clients that have messages waiting"
        case .pending: "unsent bytes of all clients"
        }
    }

    static var manual: String {
        allCases.map { figure in
            let name = figure.rawValue + String(repeating: " ", count: 12 - figure.rawValue.count)
            let (warning, critical) = figure.standard
            let thresholds = [warning, critical].map { $0.map(figure.words) ?? "off" }.joined(separator: ", ")
            return "  \(name)\(figure.meaning) (\(thresholds))"
        }.joined(separator: "\n")
    }

    /// A value for people.
    func words(_ value: Double) -> String {
        switch unit {
        case .time: value >= 1000 ? "\(Quantity.fixed(value / 1000)) s" : "\(Quantity.fixed(value)) ms"
        case .percent: "\(Quantity.fixed(value)) %"
        case .days: "\(Quantity.fixed(value)) days"
        case .count: String(Quantity.whole(value))
        case .bytes: Quantity.size(Quantity.whole(value))
        }
    }
}

/// The result of a check.
struct CheckReport {
    /// From best to worst; the number is the exit status.
    enum State: Int32 {
        case ok, warning, critical, unknown

        var word: String {
            switch self {
            case .ok: "OK"
            case .warning: "WARNING"
            case .critical: "CRITICAL"
            case .unknown: "UNKNOWN"
            }
        }
    }

    private struct Row {
        let figure: CheckedFigure
        let value: Double
        let warning: Double?
        let critical: Double?

        var state: State {
            func isBeyond(_ threshold: Double?) -> Bool {
                threshold.map { figure.isFalling ? value < $0 : value > $0 } ?? false
            }
            return isBeyond(critical) ? .critical : isBeyond(warning) ? .warning : .ok
        }

        /// The figure as performance data, with a range as threshold if smaller values are worse.
        var performance: String {
            let colon = figure.isFalling ? ":" : ""
            let thresholds = [warning, critical].map { $0.map { CheckReport.plain($0) + colon } ?? "" }
            let end = figure.unit.symbol == "%" ? ";0;100" : figure.isFalling ? "" : ";0"
            let value = CheckReport.plain(value)
            return "\(figure)=\(value)\(figure.unit.symbol);\(thresholds[0]);\(thresholds[1])\(end)"
        }
    }

    private(set) var state = State.ok
    private var troubles: [String] = []
    private var rows: [Row] = []
    private var summary = ""

    /// The broker could not be asked.
    init(_ failure: Failure) {
        state = failure.status == 2 ? .critical : .unknown
        troubles = [failure.message.replacing("\n", with: " ")]
    }

    init(
        _ status: StatusRequest.Answer, warnings: [CheckedFigure: Double?], criticals: [CheckedFigure: Double?]
    ) {
        if let failure = status.failure {
            state = .critical
            troubles.append(failure.isEmpty ? "not ready" : "not ready: \(failure)")
        }
        for number in status.late {
            if state == .ok { state = .warning }
            troubles.append("event loop \(number) does not respond")
        }
        for figure in CheckedFigure.allCases {
            guard let value = figure.value(in: status) else { continue }
            let row = Row(
                figure: figure, value: value, warning: warnings[figure] ?? figure.standard.warning,
                critical: criticals[figure] ?? figure.standard.critical)
            rows.append(row)
            guard row.state != .ok else { continue }
            if row.state.rawValue > state.rawValue { state = row.state }
            troubles.append("\(figure) \(figure.words(value))")
        }
        summary = "\(status.clients) clients, \(status.subscriptions) subscriptions"
    }

    /// One line, as plugins print it.
    var line: String {
        let text = "BROKER \(state.word) - \(troubles.isEmpty ? "ready, \(summary)" : troubles.joined(separator: ", "))"
        // A bar begins the performance data.
        let plain = text.replacing("|", with: "/")
        return rows.isEmpty ? plain : "\(plain) | \(rows.map(\.performance).joined(separator: " "))"
    }

    var json: [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("state", state.word.lowercased())
        writer.name("troubles")
        writer.beginArray()
        for trouble in troubles { writer.string(trouble) }
        writer.endArray()
        writer.name("figures")
        writer.beginArray()
        for row in rows {
            writer.beginObject()
            writer.member("name", row.figure.rawValue)
            writer.member("value", row.value)
            writer.member("unit", row.figure.unit == .days ? "days" : row.figure.unit.symbol)
            if let warning = row.warning { writer.member("warning", warning) }
            if let critical = row.critical { writer.member("critical", critical) }
            writer.member("state", row.state.word.lowercased())
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        return writer.bytes
    }

    /// The number without unnecessary digits.
    private static func plain(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? String(Int(value)) : Quantity.fixed(value)
    }
}

extension CheckedFigure {
    /// The value; `nil` if the broker does not report it.
    fileprivate func value(in status: StatusRequest.Answer) -> Double? {
        switch self {
        case .canary: status.canary
        case .commit: status.lastCommit
        case .p99: status.slowCommit
        case .map: Self.share(status.store?.usedBytes, of: status.store?.maximumBytes)
        case .disk: Self.share(status.diskFreeBytes, of: status.diskBytes).map { 100 - $0 }
        case .descriptors: Self.share(status.descriptors, of: status.maximumDescriptors)
        case .connections: Self.share(status.connections, of: status.maximumConnections)
        case .memory: Self.share(status.heldBytes, of: status.maximumHeldBytes)
        case .certificate: status.certificateSeconds.map { Double($0) / 86_400 }
        case .behind: status.backlog.map { Double($0.behind) }
        case .pending: status.backlog.map { Double($0.pendingBytes) }
        }
    }

    /// In percent.
    private static func share(_ part: Int?, of all: Int?) -> Double? {
        guard let part, let all, all > 0 else { return nil }
        return Double(part) / Double(all) * 100
    }
}
