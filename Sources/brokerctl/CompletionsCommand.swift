internal import ArgumentParser

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
