internal import ArgumentParser
internal import Broker
internal import WSTransport

/// `brokerctl top`: the broker and its clients, updated each second.
struct TopCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top",
        abstract: "Shows the broker and its busiest clients, updated each second.",
        discussion: """
            Keys: p, m, b, r and s sort by pending bytes, messages published, bytes sent, round trip and subscriptions; k \
            disconnects a client, after confirmation; q or Ctrl-C quits. Without a terminal it prints a line each second, \
            with --json an object.

            Examples:
              brokerctl top
              brokerctl top --sort rtt
              brokerctl top --count 60 --json > minute.jsonl
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @Option(help: ArgumentHelp("The field of `clients` to sort by initially.", valueName: "field"))
    var sort = ClientField.pending.rawValue

    @Option(help: "End after this many updates.")
    var count: Int?

    func validate() throws {
        guard ClientField(rawValue: sort) != nil else {
            let known = ClientField.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("--sort: expected one of \(known)")
        }
        if let count, count < 1 { throw ValidationError("--count: expected 1 or more") }
    }

    func run() async throws {
        let admin = try await AdminConnection(connection)
        let hasScreen = !connection.json && TerminalScreen.take()
        defer { TerminalScreen.giveBack() }
        if !hasScreen { Output.endWithReader() }
        var view = TopView(order: ClientField(rawValue: sort) ?? .pending)
        var left = count ?? .max
        while true {
            let begin = MonotonicTime.now
            view.take(try await admin.ask(StatusRequest(countsClients: true)).answer, at: begin)
            if hasScreen {
                let room = max(1, TerminalScreen.size.lines - TopView.headLines)
                view.clients = try await admin.ask(view.request(limit: room)).answer.elements
                TerminalScreen.show(view.screen)
            } else if connection.json {
                Output.printJSON(view.json)
            } else {
                Output.print(Output.printable(view.line))
            }
            left -= 1
            guard left > 0 else { break }
            let rest = 1000 - MonotonicTime.now.nanoseconds(since: begin) / 1_000_000
            if hasScreen {
                guard try await react(to: TerminalScreen.key(within: Int(max(0, rest))), &view, admin) else { break }
            } else {
                try await Task.sleep(for: .milliseconds(max(0, rest)))
            }
        }
        await admin.close()
    }

    /// Handles a key; returns whether to continue.
    private func react(to key: Character?, _ view: inout TopView, _ admin: AdminConnection) async throws -> Bool {
        switch key {
        case "q", "Q": return false
        case "p": view.order = .pending
        case "m": view.order = .published
        case "b": view.order = .sent
        case "r": view.order = .roundTrip
        case "s": view.order = .subscriptions
        case "k": view.notice = try await kick(admin)
        default: break
        }
        return true
    }

    /// Asks for a client and disconnects it; returns the outcome.
    private func kick(_ admin: AdminConnection) async throws -> String {
        let id = TerminalScreen.ask("Disconnect which client (id)? ")
        guard !id.isEmpty else { return "" }
        guard ["y", "yes"].contains(TerminalScreen.ask("Disconnect client \(id)? [y/N] ").lowercased()) else {
            return "nothing was done"
        }
        do {
            _ = try await admin.ask(KickRequest(client: id))
            return "disconnected: \(id)"
        } catch let failure as Failure where failure.status == 1 {
            return failure.message
        }
    }
}

/// The content of the screen.
struct TopView {
    /// The lines above the clients: three of the broker, an empty one, and the titles.
    static let headLines = 5

    var order: ClientField
    var clients: [ClientSummary] = []
    /// The outcome of the last key; may be empty.
    var notice = ""
    private var status = StatusRequest.Answer()
    private var moment = MonotonicTime.now
    /// Messages a second since the last update; `nil` if this is the first one.
    private var rates: (published: Double, delivered: Double)?

    init(order: ClientField) { self.order = order }

    mutating func take(_ new: StatusRequest.Answer, at now: MonotonicTime) {
        let seconds = Double(now.nanoseconds(since: moment)) / 1e9
        // A restarted broker counts from 0.
        let isSame = status.startedAt == new.startedAt && seconds > 0
        rates =
            isSame
            ? (
                Double(new.published &- status.published) / seconds,
                Double(new.delivered &- status.delivered) / seconds
            ) : nil
        (status, moment) = (new, now)
    }

    func request(limit: Int) -> ClientsRequest {
        var request = ClientsRequest()
        request.order = order.rawValue
        request.limit = limit
        return request
    }

    private static func words(_ rate: Double?) -> String { rate.map { "\(Quantity.fixed($0))/s" } ?? "-" }

    private var backlog: String {
        let pending = Quantity.size(status.backlog?.pendingBytes ?? 0)
        return "pending \(pending)  behind \(status.backlog?.behind ?? 0)"
    }

    private var state: String {
        guard let failure = status.failure else { return "ready" }
        return failure.isEmpty ? "NOT READY" : "NOT READY: \(failure)"
    }

    private var flow: String { "published \(Self.words(rates?.published))  delivered \(Self.words(rates?.delivered))" }

    /// One line, for output without a terminal.
    var line: String {
        let commit = status.lastCommit.map { "  commit \(Quantity.fixed($0)) ms" } ?? ""
        return "\(Timestamp(unixMilliseconds: WallClock.unixMilliseconds))  \(state)  clients \(status.clients)  "
            + "\(flow)  \(backlog)  memory \(Quantity.size(status.memoryBytes))\(commit)"
    }

    var json: [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("time", WallClock.unixMilliseconds)
        if let rates {
            writer.member("publishedPerSecond", rates.published)
            writer.member("deliveredPerSecond", rates.delivered)
        }
        writer.name("status")
        writer.beginObject()
        status.write(to: &writer)
        writer.endObject()
        writer.endObject()
        return writer.bytes
    }

    private static let fields: [ClientField] = [
        .id, .user, .address, .protocolName, .age, .subscriptions, .published, .pending, .waiting,
        .roundTrip, .received, .sent,
    ]

    var screen: [String] {
        let now = WallClock.unixMilliseconds
        let commit = status.lastCommit.map { "commit \(Quantity.fixed($0)) ms" } ?? ""
        let map = status.store.map { "store \(Quantity.size($0.usedBytes)) of \(Quantity.size($0.maximumBytes))" } ?? ""
        let rows = clients.map { client in Self.fields.map { ClientTable.cell($0, client, now) } }
        let head = [
            "\(status.server)  \(state)  up \(Quantity.span(seconds: status.uptimeSeconds))  "
                + "clients \(status.clients)  subscriptions \(status.subscriptions)",
            "\(flow)  \(backlog)  memory \(Quantity.size(status.memoryBytes))  \(commit)  \(map)",
            notice.isEmpty
                ? "by \(order.rawValue)   p pending  m messages  b bytes  r round trip  s subscriptions  k kick  q quit"
                : notice,
            "",
        ]
        return head.map { Output.printable($0) } + TextTable(Self.fields.map(ClientTable.column), rows).lines
    }
}
