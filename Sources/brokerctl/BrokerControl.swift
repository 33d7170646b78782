internal import ArgumentParser
internal import Broker
internal import CLinux
internal import Glibc
internal import WSTransport

/// `brokerctl`: looks into a running broker, changes it, publishes and subscribes.
@main
struct BrokerControl: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "brokerctl",
        abstract: "Inspects and administers a running broker, publishes and subscribes.",
        discussion: """
            Examples:
              brokerctl status
              brokerctl clients --filter 'sensors/#'
              brokerctl pub sensors/1/temp 21.5 --retain
              brokerctl sub 'sensors/+/temp' --count 10
              brokerctl --socket /run/broker/admin.sock retained list --json
              brokerctl --url https://broker.example.com --token-file ~/.token clients
              brokerctl config check broker.yaml

            Exit status: 0 for success, 1 for failure, 2 if the broker cannot be reached, 64 for wrong usage.
            """,
        version: "brokerctl \(BrokerVersion.current)",
        subcommands: [
            StatusCommand.self, ClusterCommand.self, TopCommand.self, CheckCommand.self, ClientsCommand.self,
            BansCommand.self,
            TopicsCommand.self, SubscriptionsCommand.self,
            RetainedCommand.self, PublishCommand.self, SubscribeCommand.self, RequestCommand.self, ReplyCommand.self,
            RecordCommand.self, ReplayCommand.self,
            BackupCommand.self,
            RestoreCommand.self, DrainCommand.self, ReloadCommand.self, LogCommand.self, ConfigCommand.self,
            BenchCommand.self,
            UsersCommand.self,
            TokenCommand.self, AccessListCommand.self, AuditCommand.self, EventsCommand.self, WhyCommand.self,
            TraceCommand.self,
            LoginCommand.self, LogoutCommand.self, ContextsCommand.self, ContextCommand.self, ExplainCommand.self,
            CompletionsCommand.self, ManualCommand.self,
            CompleteCommand.self,
        ])

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    static func main() async {
        // If the reader of the output has gone, `write` fails, and the program ends quietly.
        _ = signal(SIGPIPE, SIG_IGN)
        StandardStreams.fillGaps()
        do {
            let arguments = NegativeNumbers.protect(Array(CommandLine.arguments.dropFirst()))
            try UnknownVerbs.refuse(arguments)
            var command = try parseAsRoot(arguments)
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch let failure as Failure {
            Output.complain(failure.message)
            Glibc.exit(failure.status)
        } catch is Incomplete {
            Glibc.exit(1)
        } catch {
            exit(withError: error)
        }
    }
}
