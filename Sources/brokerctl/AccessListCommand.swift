internal import ArgumentParser
internal import Broker

/// `brokerctl acl …`: explains and tests access rules.
struct AccessListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "acl",
        abstract: "Explains and tests access rules, with the code that the broker itself uses.",
        discussion: """
            Asks the running broker or, with --config, evaluates the rules of a configuration file.

            Examples:
              brokerctl acl explain alice publish sensors/alice/temp
              brokerctl acl explain --client eb1nqsfim875 subscribe 'sensors/#'
              brokerctl acl list alice --config broker.yaml
              brokerctl acl test expected.txt --config broker.yaml
            """,
        subcommands: [ExplainAccess.self, ListAccess.self, TestAccess.self])

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions
}

/// Options for the subject and the rules of a question.
struct AccessQuestion: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Use the rules of this configuration file. (default: ask the running broker)", valueName: "file"))
    var config: String?

    @Option(
        help: ArgumentHelp(
            "With --config: the file of users. (default: the one that the configuration names)", valueName: "path"))
    var file: String?

    @Option(help: ArgumentHelp("An additional role of the user; may be repeated.", valueName: "name"))
    var role: [String] = []

    @Option(help: ArgumentHelp("The client's address.", valueName: "address"))
    var address: String?

    func validate() throws {
        guard file == nil || config != nil else { throw ValidationError("--file requires --config") }
    }

    /// What evaluates the question: a broker, or the rules of a configuration.
    struct Judge {
        fileprivate enum Source {
            case broker(AdminConnection)
            case rules(Settings, Access)
        }

        fileprivate let source: Source
        fileprivate let question: AccessQuestion

        /// - Parameters:
        ///   - who: a user; `anonymous` for a client without credentials; `nil` if `client` is given.
        ///   - client: the id of a connected client.
        func explain(
            _ who: String?, client: String? = nil, _ action: AccessExplanation.Action, _ name: String
        ) async throws -> ExplainAccessRequest.Answer {
            let user = who == "anonymous" ? nil : who
            switch source {
            case .broker(let admin):
                var request = ExplainAccessRequest(action: action.rawValue, name: name)
                (request.client, request.user) = (client, user)
                (request.roles, request.address) = (question.role, question.address)
                return try await admin.ask(request).answer
            case .rules(let settings, let access):
                do throws(TopicError) {
                    let explanation = try AccessExplanation(access.rules, subject(user, access), action, name)
                    return ExplainAccessRequest.Answer(
                        explanation, access.rules, written: settings.access.rules.count)
                } catch {
                    throw Failure.usage("\(Output.printable(name)): \(error)")
                }
            }
        }

        /// What the rules allow and deny; for the parameters see ``explain(_:client:_:_:)``.
        func list(_ who: String?, client: String? = nil) async throws -> [ListAccessRequest.Line] {
            let user = who == "anonymous" ? nil : who
            switch source {
            case .broker(let admin):
                var request = ListAccessRequest()
                (request.client, request.user) = (client, user)
                (request.roles, request.address) = (question.role, question.address)
                return try await admin.ask(request).answer.elements
            case .rules(let settings, let access):
                return ListAccessRequest.lines(
                    access.rules, subject(user, access), written: settings.access.rules.count)
            }
        }

        /// A user as the rules of a configuration see it; a client without credentials if `user` is `nil`.
        private func subject(_ user: String?, _ access: Access) -> Subject {
            guard let user else { return Subject(.anonymous, address: question.address) }
            let roles = access.users.roles(of: user).union(question.role.exact)
            return Subject(Principal(.token, user: user, roles: roles), address: question.address)
        }

        func close() async { if case .broker(let admin) = source { await admin.close() } }
    }

    func judge(_ connection: ConnectionOptions) async throws -> Judge {
        guard let config else {
            do {
                return Judge(source: .broker(try await AdminConnection(connection)), question: self)
            } catch let failure as Failure where failure.status == 2 {
                throw Failure(
                    status: 2,
                    message: failure.message + "; to work without a broker, name a configuration with --config")
            }
        }
        let settings = try ShowConfig.read(config)
        do throws(AccessFileErrors) {
            let users = UserTable(try AccessFile.read(file ?? settings.accessFilePath, isKept: false))
            return Judge(source: .rules(settings, Access(settings, users: users)), question: self)
        } catch {
            throw Failure.failed(error.description)
        }
    }
}

extension AccessExplanation.Action: ExpressibleByArgument {}

/// The option that selects a connected client.
struct AccessWho: ParsableArguments {
    @Option(
        help: ArgumentHelp("A connected client instead of a user, by its id in `brokerctl clients`.", valueName: "id"))
    var client: String?
}

/// `brokerctl acl explain WHO ACTION NAME`.
struct ExplainAccess: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Says whether a user may do something, and which rules match.",
        discussion: """
            The exit status is 1 if it is denied. The administrative rights read, write and operate take no topic.

            Example:
              brokerctl acl explain alice subscribe 'sensors/#'
              brokerctl acl explain alice operate
              brokerctl acl explain --client eb1nqsfim875 publish sensors/1/temp
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions
    @OptionGroup var question: AccessQuestion
    @OptionGroup var who: AccessWho

    @Argument(
        help: ArgumentHelp(
            """
            The user (anonymous: a client without credentials), omitted with --client; then publish, subscribe or retain \
            and a topic or filter; or read, write or operate.
            """,
            valueName: "words"))
    var words: [String]

    func validate() throws {
        let named = who.client == nil ? 1 : 0
        guard named + 1...named + 2 ~= words.count else {
            throw ValidationError(named == 1 ? "expected WHO ACTION NAME" : "--client: expected ACTION NAME")
        }
        guard who.client == nil || question.config == nil else {
            throw ValidationError("--client and --config cannot be combined: only the running broker knows its clients")
        }
    }

    func run() async throws {
        let request = words.dropFirst(who.client == nil ? 1 : 0)
        let what = request.first ?? ""
        guard let action = AccessExplanation.Action(rawValue: what) else {
            throw Failure.usage("expected \(AccessExplanation.Action.expectation), found \(Output.printable(what))")
        }
        let isAboutTopics = action.administration == nil
        guard request.count == (isAboutTopics ? 2 : 1) else {
            throw Failure.usage("\(what): expected \(isAboutTopics ? "a topic or filter" : "no topic")")
        }
        let name = isAboutTopics ? request.last ?? "" : ""
        let judge = try await question.judge(connection)
        let explanation = try await judge.explain(
            who.client == nil ? words[0] : nil, client: who.client, action, name)
        await judge.close()
        if connection.json {
            [explanation].printJSON(isAlone: true)
            if !explanation.isAllowed { throw ExitCode(1) }
            return
        }
        Output.print(Output.printable(explanation.decision))
        let right = isAboutTopics ? action.rawValue : "admin"
        for line in explanation.lines {
            guard !line.template.isEmpty else {
                Output.print(Output.printable("  \(line.rule): (no \(right))"))
                continue
            }
            var text = "  \(line.rule): \(line.isDenial ? "deny" : right) \(line.template)"
            if isAboutTopics, line.filters != [line.template] {
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
        abstract: "Lists what the rules allow and deny a user.",
        discussion: """
            Example:
              brokerctl acl list alice
              brokerctl acl list --client eb1nqsfim875
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions
    @OptionGroup var question: AccessQuestion
    @OptionGroup var who: AccessWho

    @Argument(help: "The user (anonymous: a client without credentials), omitted with --client.")
    var user: String?

    func validate() throws {
        guard (user == nil) != (who.client == nil) else { throw ValidationError("expected a user, or --client") }
        guard who.client == nil || question.config == nil else {
            throw ValidationError("--client and --config cannot be combined: only the running broker knows its clients")
        }
    }

    func run() async throws {
        let judge = try await question.judge(connection)
        let lines = try await judge.list(user, client: who.client)
        await judge.close()
        if connection.json { return lines.printJSON() }
        let rows = lines.map { line in
            // Empty if a placeholder has no value.
            let filters = line.filters.isEmpty ? "(does not apply)" : line.filters.joined(separator: " ")
            return ["\(line.isDenial ? "deny " : "")\(line.right)", filters, line.rule]
        }
        TextTable(["RIGHT", "FILTER", "RULE"], rows).print()
    }
}

/// `brokerctl acl test FILE`.
struct TestAccess: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test",
        abstract: "Checks the rules against a file of expectations.",
        discussion: """
            Each line of the file is WHO ACTION NAME allow|deny; lines that begin with # are comments. The exit status \
            is 1 if an expectation is not met.

            Example:
              echo 'alice publish sensors/alice/x allow' | brokerctl acl test - --config broker.yaml
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions
    @OptionGroup var question: AccessQuestion

    @Argument(help: "The file; - is standard input.")
    var expectations: String

    func run() async throws {
        let judge = try await question.judge(connection)
        var reader = try LineReader(path: expectations)
        var (count, wrong) = (0, 0)
        var writer = JSONWriter()
        writer.beginObject()
        writer.name("wrong")
        writer.beginArray()
        while let line = try reader.next() {
            guard case .line(let bytes) = line, let text = String(validating: bytes, as: UTF8.self) else {
                throw Failure.failed("\(expectations):\(reader.number): expected a line of UTF-8")
            }
            let words = text.split(separator: " ")
            if words.isEmpty || words[0].hasPrefix("#") { continue }
            guard words.count == 4, let action = AccessExplanation.Action(rawValue: String(words[1])),
                action.administration == nil, words[3] == "allow" || words[3] == "deny"
            else {
                throw Failure.failed(
                    "\(expectations):\(reader.number): expected WHO publish|subscribe|retain NAME allow|deny")
            }
            count += 1
            let explanation = try await judge.explain(String(words[0]), action, String(words[2]))
            guard explanation.isAllowed != (words[3] == "allow") else { continue }
            wrong += 1
            if connection.json {
                writer.beginObject()
                writer.member("line", reader.number)
                writer.member("text", String(text))
                writer.member("decision", explanation.decision)
                writer.endObject()
                continue
            }
            Output.print(Output.printable("\(expectations):\(reader.number): \(text): \(explanation.decision)"))
        }
        await judge.close()
        writer.endArray()
        writer.member("expectations", count)
        writer.endObject()
        if connection.json { Output.printJSON(writer.bytes) }
        if wrong > 0 { throw Failure.failed("\(wrong) of \(count) are not as expected") }
        if connection.json { return }
        Output.print("\(count) as expected")
    }
}
