internal import Synchronization
internal import WSTransport

/// The source of the broker's settings, and a way to check new ones, for administrators.
package struct ConfigurationDesk: Sendable {
    /// The configuration file; `nil` if there is none.
    let file: String?
    /// The settings that the broker was started with.
    let first: Settings
    /// Reads the settings as a reload would; also returns the errors that would make it fail, one a line.
    ///
    /// Reads files, so no reactor may call it.
    ///
    /// - Parameter given: the configuration; `nil` for the file as it is now.
    let read: @Sendable (_ given: GivenConfiguration?) -> (settings: Settings?, errors: [String])

    package init(
        file: String?, first: Settings,
        read: @escaping @Sendable (_ given: GivenConfiguration?) -> (settings: Settings?, errors: [String])
    ) {
        self.file = file
        self.first = first
        self.read = read
    }

    /// The differences between new settings and those in force.
    ///
    /// Live settings are compared with those of the last reload, the others with those of the start.
    func changes(from current: Settings, to new: Settings) -> [ConfigChange] {
        let waiting = first.changes(to: new).filter { $0.reload == .restart }
        let live = current.changes(to: new).filter { $0.reload == .live }
        return (live + waiting).map {
            ConfigChange(path: $0.path, needsRestart: $0.reload == .restart, old: $0.old, new: $0.new)
        }
    }
}

extension AdminCaller {
    fileprivate var configuration: ConfigurationDesk {
        get throws(Refusal) {
            guard let known = desk.facts.configuration else {
                throw Refusal(.notFound, "This broker was not started from a configuration.")
            }
            return known
        }
    }
}

extension ConfigShowRequest: AnsweredRequest {
    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal) {
        let (desk, settings) = (try caller.configuration, caller.desk.shard.configuration)
        var answer = Answer()
        answer.file = desk.file
        answer.text = isExplained ? SettingsWriter.explained(settings) : SettingsWriter.yaml(settings)
        answer.settings = SettingsWriter.json(settings)
        answer.waiting = desk.changes(from: settings, to: settings)
        then(.success(answer))
    }
}

extension ConfigPlanRequest: AnsweredRequest {
    /// Reads the planned settings on a new thread; there is one plan at a time.
    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal) {
        let (desk, shard) = (try caller.configuration, caller.desk.shard)
        let (everyone, administration) = (caller.desk.everyone, caller.desk.facts.administration)
        guard !administration.isPlanning.exchange(true, ordering: .relaxed) else {
            throw Refusal(.conflict, "Another plan is in progress; try again.")
        }
        let link = ReactorLink(remote: shard.reactor.remote)
        link.bind(Planner(desk, shard, everyone, then), on: shard.reactor)
        let given = text.map { GivenConfiguration(bytes: Array($0.utf8), name: name.isEmpty ? nil : name) }
        let access = shard.access
        do throws(Errno) {
            try startThread(named: "plan") {
                let found = desk.read(given)
                // The planned rules, with the present users and login servers.
                let planned = found.settings.map { Access($0, users: access.users, webTokens: access.webTokens) }
                administration.isPlanning.store(false, ordering: .relaxed)
                link.take(Planner.self) { $0?.finish(found.settings, found.errors, planned) }
            }.detach()
        } catch {
            administration.isPlanning.store(false, ordering: .relaxed)
            link.release(on: shard.reactor)
            throw Refusal(.unavailable, "Cannot start a thread: \(error).")
        }
    }

    func outcome(_ answer: Answer) -> String {
        answer.errors.isEmpty ? "\(answer.changes.count) changes" : "\(answer.errors.count) errors"
    }
}

/// Waits for the settings of a plan, and counts what they would change.
///
/// Runs on a reactor's thread.
private final class Planner {
    private let desk: ConfigurationDesk
    private let shard: Shard
    private let everyone: ShardGroup
    private let then: (Result<ConfigPlanRequest.Answer, Refusal>) -> Void

    init(
        _ desk: ConfigurationDesk, _ shard: Shard, _ everyone: ShardGroup,
        _ then: @escaping (Result<ConfigPlanRequest.Answer, Refusal>) -> Void
    ) {
        self.desk = desk
        self.shard = shard
        self.everyone = everyone
        self.then = then
    }

    func finish(_ settings: Settings?, _ errors: [String], _ access: Access?) {
        var answer = ConfigPlanRequest.Answer()
        answer.file = desk.file
        answer.errors = errors
        guard let settings, let access, errors.isEmpty else { return then(.success(answer)) }
        answer.changes = desk.changes(from: shard.configuration, to: settings)
        let changesRights = answer.changes.contains { $0.path.hasPrefix("access") && !$0.needsRestart }
        everyone.ask(from: shard) { shard in
            shard.losses(under: changesRights ? access : nil)
        } then: { [answer, then] parts in
            var answer = answer
            var losses = ConfigPlanRequest.Answer.Losses()
            for part in parts {
                answer.clients += part.clients
                losses.disconnected += part.losses.disconnected
                losses.clients += part.losses.clients
                losses.subscriptions += part.losses.subscriptions
                losses.isPartial = losses.isPartial || part.losses.isPartial
            }
            if changesRights { answer.losses = losses }
            then(.success(answer))
        }
    }
}

extension Shard {
    /// How many clients and subscriptions of one reactor are checked for a plan, in a single turn.
    private static let plannedAtOnce = 16_384

    /// Counts the clients, and what they would lose.
    ///
    /// - Parameter access: the planned access data; `nil` if it would not change.
    fileprivate func losses(under access: Access?) -> (clients: Int, losses: ConfigPlanRequest.Answer.Losses) {
        var losses = ConfigPlanRequest.Answer.Losses()
        let sessions = everybody
        guard let access else { return (sessions.count, losses) }
        let (grants, now) = (GrantTable(access), WallClock.unixMilliseconds / 1000)
        var left = Self.plannedAtOnce
        for session in sessions {
            guard left > 0 else {
                losses.isPartial = true
                break
            }
            left -= 1 + session.subscriptions.count
            let client = session.client
            var principal = client.principal
            switch access.renewal(of: principal, from: { client.host }, now: now) {
            case .same: break
            case .changed(let other): principal = other
            case .ended:
                losses.disconnected += 1
                continue
            }
            let subject = client.subject(as: principal)
            let box = grants.box(for: principal, isLocal: subject.isLocal) { subject }
            let lost = session.subscriptions.all.count { box.verdict(on: $0.filter) != .allowed }
            losses.subscriptions += lost
            if lost > 0 { losses.clients += 1 }
        }
        return (sessions.count, losses)
    }
}
