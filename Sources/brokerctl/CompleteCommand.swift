internal import ArgumentParser
internal import Broker

/// `brokerctl complete KIND`: words for the completion of a shell.
struct CompleteCommand: AsyncParsableCommand {
    /// A kind of names.
    enum Kind: String, ExpressibleByArgument, CaseIterable { case topics, clients }

    static let configuration = CommandConfiguration(
        commandName: "complete",
        abstract: "Prints names in the broker, for the completion of words.",
        discussion: """
            Example:
              brokerctl complete topics
            """,
        shouldDisplay: false)

    /// The command that a shell runs to complete names of a kind; without a broker it prints none.
    static func words(_ kind: Kind) -> CompletionKind {
        .shellCommand("brokerctl complete \(kind.rawValue) 2>/dev/null")
    }

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @Argument(help: "topics or clients.")
    var kind: Kind

    /// The maximum number of names; more would not help.
    private static let most = 1000

    func run() async throws {
        let names: [String]
        switch kind {
        case .topics:
            names = try await connection.ask(TopicsRequest(filter: nil, seconds: 0)).answer.elements.map(\.topic)
        case .clients:
            var request = ClientsRequest()
            request.limit = Self.most
            names = try await connection.ask(request).answer.elements.map(\.id)
        }
        for name in names.filter(Self.isPlain).prefix(Self.most) { Output.print(name) }
    }

    /// Whether a shell reads the name as one plain word.
    ///
    /// Any client can choose names, and a shell would expand them.
    private static func isPlain(_ name: String) -> Bool {
        !name.isEmpty && name.first != "-"
            && name.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
                default: "/_.:@%+,=-".utf8.contains(byte)
                }
            }
    }
}

/// `brokerctl completions SHELL`.
struct CompletionsCommand: ParsableCommand {
    /// A shell that supports completions.
    enum Shell: String, ExpressibleByArgument, CaseIterable { case bash, zsh, fish }

    static let configuration = CommandConfiguration(
        commandName: "completions",
        abstract: "Prints the script that a shell needs to complete brokerctl's verbs and options.",
        discussion: """
            Examples:
              brokerctl completions bash > /etc/bash_completion.d/brokerctl
              brokerctl completions zsh > ~/.zfunc/_brokerctl
              brokerctl completions fish > ~/.config/fish/completions/brokerctl.fish
            """)

    @Argument(help: "The shell: bash, zsh or fish.")
    var shell: Shell

    func run() {
        let script: CompletionShell =
            switch shell {
            case .bash: .bash
            case .zsh: .zsh
            case .fish: .fish
            }
        Output.write(Array(BrokerControl.completionScript(for: script).utf8))
    }
}
