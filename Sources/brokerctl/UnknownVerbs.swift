internal import ArgumentParser
internal import Broker

/// Unknown verbs: the error names the nearest one.
enum UnknownVerbs {
    /// The options that may precede a verb and take a value.
    private static let valued = [
        "--socket", "--url", "--context", "--token", "--token-file", "--ca-file", "--cert-file", "--key-file",
        "--timeout",
    ]

    /// Refuses `arguments` that begin, after options, with an unknown verb.
    static func refuse(_ arguments: [String]) throws(Failure) {
        var words: [String] = []
        var rest = arguments[...]
        while words.count < 2, let argument = rest.popFirst() {
            if valued.contains(argument) {
                rest = rest.dropFirst()
            } else if argument == "--help" || argument == "-h" {
                return
            } else if !argument.hasPrefix("-") {
                words.append(argument)
            } else if !words.isEmpty {
                // It is not known here which of a verb's own options take a value.
                break
            }
        }
        guard let first = words.first, first != "help" else { return }
        let top = BrokerControl.configuration.subcommands
        guard let command = top.first(where: { name(of: $0) == first }) else {
            throw unknown(first, among: top.map { name(of: $0) })
        }
        let below = command.configuration.subcommands.map { name(of: $0) }
        guard words.count > 1, !below.isEmpty, !below.contains(words[1]) else { return }
        throw unknown("\(first) \(words[1])", among: below.map { "\(first) \($0)" })
    }

    private static func name(of command: any ParsableCommand.Type) -> String { command.configuration.commandName ?? "" }

    private static func unknown(_ verb: String, among known: [String]) -> Failure {
        let advice = ConfigurationKeys.nearest(to: verb, among: known).map { "did you mean \"\($0)\"?" }
        return .usage("unknown verb \"\(Output.printable(verb))\"; \(advice ?? "brokerctl --help lists them")")
    }
}
