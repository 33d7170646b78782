package import WSTransport

/// Keeps a link to the primary of an engine, or to a replica that follows it.
///
/// Never gives up: after each failure it searches again, after a pause that grows. While a link is open, it checks
/// regularly that the link still leads to the right server. Runs on its reactor's thread.
package final class EngineRoute {
    /// How to find the engine.
    package enum Place: Sendable {
        /// The first of these addresses whose server has the role.
        case addresses([Endpoint])
        /// The address that a majority of the sentinels gives for the primary with this name, or for its replicas.
        case sentinels([Endpoint], name: String, EngineLink.Access)
    }

    /// The role of the server to find.
    package enum Role: Sendable { case primary, replica }

    /// An event of the route.
    package enum Event {
        /// A link is open; commands may be sent.
        case open(EngineLink)
        /// There is no link; the next attempt follows automatically.
        case failed(EngineFailure)
    }

    private enum Phase {
        case idle
        case looking(SentinelSurvey)
        case trying(EngineLink)
        case open(EngineLink)
        case stopped
    }

    private let place: Place
    private let role: Role
    private let access: EngineLink.Access
    private let limits: EngineLink.Limits
    private let reactor: Reactor
    private let report: (Event) -> Void
    /// Unused without sentinels.
    private let sentinelLinks: SentinelLinks
    private var phase = Phase.idle
    private var review: SentinelSurvey?
    /// How many attempts have failed since the last open link.
    private var failures = 0
    /// Increases with each attempt, to recognise callbacks of earlier ones.
    private var attempt = 0

    /// The first and the longest pause between attempts, in nanoseconds.
    private static let pauses: (Int64, Int64) = (50_000_000, 1_000_000_000)
    /// How often an open link is checked, in nanoseconds.
    private static let pace: Int64 = 300_000_000

    /// - Parameter report: called with each event, never within a call of this route's methods.
    package init(
        to role: Role, at place: Place, _ access: EngineLink.Access, _ limits: EngineLink.Limits = .init(),
        on reactor: Reactor, _ report: @escaping (Event) -> Void
    ) {
        (self.role, self.place, self.access, self.limits) = (role, place, access, limits)
        (self.reactor, self.report) = (reactor, report)
        let sentinelAccess = if case .sentinels(_, _, let access) = place { access } else { access }
        sentinelLinks = SentinelLinks(sentinelAccess, limits, on: reactor)
    }

    /// Starts; the first event comes in a later turn.
    package func start() {
        guard case .idle = phase else { return }
        look()
    }

    /// Gives up the open link, for a reason that its user has found, and searches again.
    package func abandon(_ failure: EngineFailure) {
        guard case .open = phase else { return }
        let number = attempt
        reactor.runSoon { [weak self] in
            guard let self, number == attempt else { return }
            fail(failure)
        }
    }

    /// Stops the route and closes its link, without an event.
    package func stop() {
        leave()
        sentinelLinks.close()
        phase = .stopped
    }

    private func leave() {
        attempt += 1
        review?.cancel()
        review = nil
        switch phase {
        case .looking(let survey): survey.cancel()
        case .trying(let link), .open(let link): link.close()
        case .idle, .stopped: break
        }
        phase = .idle
    }

    // MARK: Search

    private func look() {
        switch place {
        case .addresses(let addresses): tryNext(of: addresses[...], .unfit("No address is configured."))
        case .sentinels(let sentinels, let name, _):
            let survey = survey(sentinels, name) { [self] result in
                switch result {
                case .failure(let failure): fail(failure)
                case .success(let found):
                    let candidates = role == .primary ? [found.primary] : found.replicas.shuffled()
                    tryNext(of: candidates[...], Self.noReplica)
                }
            }
            phase = .looking(survey)
        }
    }

    private static let noReplica = EngineFailure.unfit(
        "The engine has no replica that follows its primary: add one, because messages are acknowledged only when two processes have them."
    )

    private func survey(
        _ sentinels: [Endpoint], _ name: String, _ completion: @escaping SentinelSurvey.Completion
    ) -> SentinelSurvey {
        let number = attempt
        return SentinelSurvey.begin(
            sentinels, name: name, isSecure: access.security != nil, asksForReplicas: role == .replica,
            over: sentinelLinks, on: reactor
        ) { [weak self] result in
            guard let self, number == attempt else { return }
            completion(result)
        }
    }

    /// - Parameter failure: the failure to report if none of them is suitable.
    private func tryNext(of candidates: ArraySlice<Endpoint>, _ failure: EngineFailure) {
        guard let candidate = candidates.first else { return fail(failure) }
        let number = attempt
        let link = EngineLink.open(candidate, access, limits, on: reactor) { [weak self] result in
            guard let self, number == attempt else { return }
            switch result {
            case .failure(let failure): tryNext(of: candidates.dropFirst(), failure)
            case .success(let link):
                askForRole(of: link) { [weak self] wrong in
                    guard let self, number == attempt else { return }
                    guard let wrong else { return opened(link) }
                    link.close()
                    tryNext(of: candidates.dropFirst(), wrong)
                }
            }
        }
        phase = .trying(link)
    }

    /// - Parameter then: gets why the server does not have the role, or `nil` if it has.
    private func askForRole(of link: EngineLink, _ then: @escaping (EngineFailure?) -> Void) {
        link.ask(["ROLE"]) { [role] answer in
            do throws(EngineFailure) { then(Self.objection(to: try answer.get(), as: role, link.endpoint)) } catch {
                then(error)
            }
        }
    }

    private static func objection(to answer: RESPValue, as role: Role, _ endpoint: Endpoint) -> EngineFailure? {
        let words = answer.elements ?? []
        switch (words.first?.text, role) {
        case ("master", .primary): return nil
        case ("slave", .replica):
            // The host, the port, then the state of the connection to the primary.
            return words.count > 3 && words[3].text == "connected" ? nil : noReplica
        case ("slave", .primary): return .unfit("\(endpoint) is a replica: name the primary, or its sentinels.")
        case ("master", .replica): return noReplica
        default: return .unfit("\(endpoint) is neither a primary nor a replica.")
        }
    }

    private func opened(_ link: EngineLink) {
        failures = 0
        phase = .open(link)
        let number = attempt
        link.onEnd = { [weak self] failure in
            guard let self, number == attempt else { return }
            fail(failure)
        }
        lookAgain(link, number)
        report(.open(link))
    }

    private func fail(_ failure: EngineFailure) {
        leave()
        let number = attempt
        let (first, longest) = Self.pauses
        let pause = min(longest, first << Int64(min(failures, 10)))
        failures += 1
        // Random, so that not all brokers try at once.
        reactor.run(afterNanoseconds: pause / 2 + Int64.random(in: 0...pause / 2)) { [weak self] in
            guard let self, number == attempt, case .idle = phase else { return }
            look()
        }
        report(.failed(failure))
    }

    // MARK: While it is open

    /// Checks regularly that the link still leads to the right server.
    private func lookAgain(_ link: EngineLink, _ number: Int) {
        reactor.run(afterNanoseconds: Self.pace) { [weak self] in
            guard let self, number == attempt else { return }
            askForRole(of: link) { [weak self] wrong in
                guard let self, number == attempt else { return }
                if let wrong { return fail(wrong) }
                guard case .sentinels(let sentinels, let name, _) = place else {
                    return lookAgain(link, number)
                }
                review = survey(sentinels, name) { [self] result in
                    review = nil
                    do throws(EngineFailure) {
                        let found = try result.get()
                        let isThere =
                            role == .primary ? found.primary == link.endpoint : found.replicas.contains(link.endpoint)
                        if isThere {
                            lookAgain(link, number)
                        } else {
                            fail(.unfit("The sentinels name another \(role)."))
                        }
                    } catch {
                        // Without a majority, the other sentinels may have replaced this primary. In the smaller part of a
                        // divided network, with one of its replicas, it would go on to acknowledge what the other part
                        // does not have. That a sentinel refuses connections does not prove that it is down.
                        fail(error)
                    }
                }
            }
        }
    }
}

extension EngineFailure {
    /// The failure of a server with this role, as a sentence or a part of one.
    func text(of role: EngineRoute.Role) -> String {
        switch self {
        case .unfit(let text): text
        // Redis does not say which right a function lacks.
        case .refused(let error)
        where error.code == "NOPERM" || error.description.contains("user executing the script"):
            "the \(role): \(self); give the engine's user all rights that docs/cluster.md lists"
        default: "the \(role): \(self)"
        }
    }
}
