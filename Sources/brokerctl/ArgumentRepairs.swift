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

/// Negative numbers as data, which the parser would mistake for options.
enum NegativeNumbers {
    /// The option whose values may be negative.
    private static let option = "--since"

    /// `arguments` with such words moved after `--`, where the parser does not look for options, or joined to their option.
    ///
    /// Their order is kept. If the caller has used `--`, nothing is changed.
    static func protect(_ arguments: [String]) -> [String] {
        guard !arguments.contains("--") else { return arguments }
        var joined: [String] = []
        for word in arguments {
            if joined.last == option, isNegative(word) {
                joined.append("\(joined.removeLast())=\(word)")
            } else {
                joined.append(word)
            }
        }
        return move(joined)
    }

    private static func move(_ arguments: [String]) -> [String] {
        let numbers = arguments.filter(isNegative)
        guard !numbers.isEmpty else { return arguments }
        return arguments.filter { !isNegative($0) } + ["--"] + numbers
    }

    /// `-5`, `-0.5`, `-1e3`.
    private static func isNegative(_ word: String) -> Bool {
        let digits = word.utf8.dropFirst()
        guard word.hasPrefix("-"), let first = digits.first else { return false }
        return (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) && Double(word) != nil
    }
}
