internal import ArgumentParser
internal import Broker

/// `brokerctl manual`: the manual page, made from the help of every verb.
struct ManualCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "manual",
        abstract: "Prints the manual page of brokerctl, for man.",
        discussion: """
            Examples:
              brokerctl manual > /usr/local/share/man/man1/brokerctl.1
              brokerctl manual | man -l -
            """)

    /// A file of `make metrics`, instead of the manual page.
    @Option(help: .hidden)
    var of: Subject?

    enum Subject: String, ExpressibleByArgument {
        case metrics, alerts, dashboard

        var text: String {
            switch self {
            case .metrics: MetricsManual.page
            case .alerts: MetricsManual.alerts
            case .dashboard: MetricsManual.dashboard
            }
        }
    }

    func run() throws {
        if let of { return Output.write(Array(of.text.utf8)) }
        let help = Array(BrokerControl._dumpHelp().utf8)
        var page = ManualPage()
        do throws(JSONError) {
            let root = try JSONObject.parse(help.span)
            if let command = try root.object("command") { try page.add(command, path: []) }
        } catch {
            throw Failure.failed("cannot read the help: \(error)")
        }
        Output.write(Array(page.text.utf8))
    }
}

/// A page in the macros of man(7).
private struct ManualPage {
    private(set) var text = ".TH BROKERCTL 1 \"\" \"broker \(BrokerVersion.current)\" \"Broker\"\n"

    /// Adds a command and its subcommands.
    mutating func add(_ command: borrowing JSONObject, path: [String]) throws(JSONError) {
        let name = try command.string("commandName") ?? ""
        // Each parent has a subcommand `help`, which is useless in a page.
        guard name != "help" || path.isEmpty else { return }
        let words = path + [name]
        let abstract = try command.string("abstract") ?? ""
        if path.isEmpty {
            text +=
                ".SH NAME\nbrokerctl \\- \(Self.escaped(abstract))\n.SH SYNOPSIS\n.B brokerctl\n.I verb\n[options]\n"
            text += ".SH DESCRIPTION\n"
        } else {
            text += ".SH \"\(words.joined(separator: " ").uppercased())\"\n\(Self.line(abstract)).PP\n"
        }
        try addDiscussion(of: command)
        if !path.isEmpty { try addArguments(of: command, isRoot: false) }
        var failure: JSONError?
        try command.value("subcommands")?.forEachElement { (element) throws(JSONError) in
            do throws(JSONError) { try add(try element.object(), path: words) } catch { failure = error }
        }
        if let failure { throw failure }
        guard path.isEmpty else { return }
        text += ".SH \"OPTIONS OF EVERY VERB\"\n"
        try addArguments(of: command, isRoot: true)
    }

    /// Adds the discussion; indented lines are kept unchanged.
    private mutating func addDiscussion(of command: borrowing JSONObject) throws(JSONError) {
        guard let discussion = try command.string("discussion") else { return }
        var isExample = false
        for line in discussion.split(separator: "\n", omittingEmptySubsequences: false) {
            let indented = line.hasPrefix("  ")
            if indented != isExample { text += indented ? ".nf\n" : ".fi\n" }
            isExample = indented
            text += line.isEmpty ? ".PP\n" : Self.line(String(line))
        }
        if isExample { text += ".fi\n" }
    }

    /// - Parameter isRoot: whether these are the options that every verb has, which are listed once.
    private mutating func addArguments(of command: borrowing JSONObject, isRoot: Bool) throws(JSONError) {
        try command.value("arguments")?.forEachElement { (element) throws(JSONError) in
            let argument = try element.object()
            let names = try Self.names(of: argument)
            let isHidden = try argument.bool("shouldDisplay") == false
            guard !isHidden, Self.common.contains(names) == isRoot, !names.contains("--help"), names != "--version"
            else {
                return
            }
            text += ".TP\n\(Self.bold(names, try argument.string("kind"), try argument.string("valueName") ?? ""))"
            text += Self.line(try argument.string("abstract") ?? "")
        }
    }

    /// The options of ``ConnectionOptions``.
    private static let common: Set<String> = [
        "--socket", "--url", "--context", "--ca-file", "--cert-file", "--key-file", "--insecure", "--token",
        "--token-file", "--json",
    ]

    private static func names(of argument: borrowing JSONObject) throws(JSONError) -> String {
        var names: [String] = []
        try argument.value("names")?.forEachElement { (element) throws(JSONError) in
            let name = try element.object()
            let isLong = try name.string("kind") == "long"
            names.append((isLong ? "--" : "-") + (try name.string("name") ?? ""))
        }
        return names.joined(separator: ", ")
    }

    private static func bold(_ names: String, _ kind: String?, _ value: String) -> String {
        switch kind {
        case "positional": ".I \(escaped(value.uppercased()))\n"
        case "option": ".BI \"\(escaped(names)) \" \(escaped(value))\n"
        default: ".B \(escaped(names))\n"
        }
    }

    /// A line of text that does not begin with a control character of roff.
    private static func line(_ text: String) -> String {
        let first = text.first.map { $0 == "." || $0 == "'" } ?? false
        return (first ? "\\&" : "") + escaped(text) + "\n"
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("\\", with: "\\e").replacing("-", with: "\\-").replacing("\"", with: "\\(dq")
            .replacing("'", with: "\\(aq").replacing("…", with: "...").replacing("`", with: "\\(ga")
    }
}
