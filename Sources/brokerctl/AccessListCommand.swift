internal import ArgumentParser
internal import Broker

/// `brokerctl acl …`: who may do what, by a configuration and a file of users.
struct AccessListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "acl",
        abstract: "Explains and tests the rules of a configuration, with the broker's own code.",
        discussion: """
            Examples:
              brokerctl acl explain alice publish sensors/alice/temp --config broker.yaml
              brokerctl acl list alice --config broker.yaml
              brokerctl acl test expected.txt --config broker.yaml
            """,
        subcommands: [ExplainAccess.self, ListAccess.self, TestAccess.self])

    @OptionGroup var connection: ConnectionOptions
}

/// Whose rights, by which rules.
struct AccessQuestion: ParsableArguments {
    @Option(help: ArgumentHelp("The configuration with the rules.", valueName: "file"))
    var config: String

    @Option(help: ArgumentHelp("The file of users. (default: as the configuration says)", valueName: "path"))
    var file: String?

    @Option(help: ArgumentHelp("A role besides those of the file; may be given again.", valueName: "name"))
    var role: [String] = []

    @Option(help: ArgumentHelp("The address that the client comes from.", valueName: "address"))
    var address: String?

    /// The rules, with the users' roles.
    struct Answers {
        let settings: Settings
        let access: Access
        let question: AccessQuestion

        /// A user by name; `anonymous` is a client without credentials.
        func subject(_ name: String) -> Subject {
            guard name != "anonymous" else { return Subject(.anonymous, address: question.address) }
            let roles = access.users.roles(of: name).union(question.role)
            return Subject(Principal(.token, user: name, roles: roles), address: question.address)
        }

        /// A rule by its number among all, as the configuration says it.
        func title(_ number: Int) -> String {
            let first = access.rules.rules.count - settings.access.rules.count
            guard number >= first else { return "anonymous" }
            let condition = access.rules.rules[number].condition
            var words = ["rules[\(number - first)]"]
            if condition.isEveryone { words.append("everyone") }
            if let user = condition.user { words.append("user \(user)") }
            if let role = condition.role { words.append("role \(role)") }
            return words.joined(separator: " ")
        }

        func explain(
            _ name: String, _ action: AccessExplanation.Action, _ target: String
        ) throws(Failure) -> AccessExplanation {
            do throws(TopicError) { return try AccessExplanation(access.rules, subject(name), action, target) } catch {
                throw .usage("\(Output.printable(target)): \(error)")
            }
        }
    }

    func answers() throws -> Answers {
        let settings = try ShowConfig.read(config)
        do throws(AccessFileErrors) {
            let users = UserTable(try AccessFile.read(file ?? settings.accessFilePath, isKept: false))
            return Answers(settings: settings, access: Access(settings, users: users), question: self)
        } catch {
            throw Failure.failed(error.description)
        }
    }
}

extension AccessExplanation.Action: ExpressibleByArgument {}

/// `brokerctl acl explain WHO ACTION NAME`.
struct ExplainAccess: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Says whether a user may do something, and what each rule has to do with it.",
        discussion: """
            The exit status is 1 where it is denied.

            Example:
              brokerctl acl explain alice subscribe 'sensors/#' --config broker.yaml
            """)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var question: AccessQuestion

    @Argument(help: "The user; anonymous is a client without credentials.")
    var who: String

    @Argument(help: "publish, subscribe or retain.")
    var action: AccessExplanation.Action

    @Argument(help: "The topic, or the filter that is subscribed to.")
    var name: String

    func run() async throws {
        let answers = try question.answers()
        let explanation = try answers.explain(who, action, name)
        Output.print(explanation.isAllowed ? "allowed" : "denied: \(Output.printable(explanation.reason))")
        for line in explanation.lines {
            var text = "  \(answers.title(line.rule)): \(line.isDenial ? "deny" : action.rawValue) \(line.template)"
            if line.filters != [line.template] {
                text += line.filters.isEmpty ? " (does not apply)" : " = \(line.filters.joined(separator: ", "))"
            }
            Output.print(Output.printable("\(text)  \(line.matches ? "matches" : "does not match")"))
        }
        if !explanation.isAllowed { throw ExitCode(1) }
    }
}

/// `brokerctl acl list WHO`.
struct ListAccess: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Lists what the rules give a user, and take away.",
        discussion: """
            Example:
              brokerctl acl list alice --config broker.yaml
            """)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var question: AccessQuestion

    @Argument(help: "The user; anonymous is a client without credentials.")
    var who: String

    func run() async throws {
        let answers = try question.answers()
        var rows: [[String]] = []
        for action in AccessExplanation.Action.allCases {
            for line in try answers.explain(who, action, "a").lines {
                let filters = line.filters.isEmpty ? "(does not apply)" : line.filters.joined(separator: " ")
                rows.append(["\(line.isDenial ? "deny " : "")\(action.rawValue)", filters, answers.title(line.rule)])
            }
        }
        TextTable(["RIGHT", "FILTER", "RULE"], rows).print()
    }
}

/// `brokerctl acl test FILE`.
struct TestAccess: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test",
        abstract: "Compares the rules with what is expected of them.",
        discussion: """
            Each line of the file says WHO ACTION NAME allow|deny; lines that begin with # are comments. The exit status \
            is 1 where something is not as expected.

            Example:
              echo 'alice publish sensors/alice/x allow' | brokerctl acl test - --config broker.yaml
            """)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var question: AccessQuestion

    @Argument(help: "The file; - is standard input.")
    var expectations: String

    func run() async throws {
        let answers = try question.answers()
        var reader = try LineReader(path: expectations)
        var (count, wrong) = (0, 0)
        while let line = try reader.next() {
            guard case .line(let bytes) = line, let text = String(validating: bytes, as: UTF8.self) else {
                throw Failure.failed("\(expectations):\(reader.number): expected a line of UTF-8")
            }
            let words = text.split(separator: " ")
            if words.isEmpty || words[0].hasPrefix("#") { continue }
            guard words.count == 4, let action = AccessExplanation.Action(rawValue: String(words[1])),
                words[3] == "allow" || words[3] == "deny"
            else {
                throw Failure.failed(
                    "\(expectations):\(reader.number): expected WHO publish|subscribe|retain NAME allow|deny")
            }
            count += 1
            let explanation = try answers.explain(String(words[0]), action, String(words[2]))
            guard explanation.isAllowed != (words[3] == "allow") else { continue }
            wrong += 1
            let found = explanation.isAllowed ? "allowed" : "denied: \(explanation.reason)"
            Output.print(Output.printable("\(expectations):\(reader.number): \(text): \(found)"))
        }
        if wrong > 0 { throw Failure.failed("\(wrong) of \(count) are not as expected") }
        Output.print("\(count) as expected")
    }
}
