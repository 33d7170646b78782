package import WSTransport

/// The addresses of an engine's servers.
package struct EngineAddresses: Equatable, Sendable {
    package let primary: Endpoint
    /// The replicas that are up; whether one follows the primary is asked of the replica, which knows it before the
    /// sentinels.
    package let replicas: [Endpoint]
}

/// Asks all sentinels at once for the engine's addresses; only an answer that a majority gives counts.
///
/// A majority of the configured sentinels, not of those that answer: otherwise the smaller side of a divided network
/// would continue with a primary that the other side has replaced. Runs on its reactor's thread.
package final class SentinelSurvey {
    package typealias Completion = (Result<EngineAddresses, EngineFailure>) -> Void

    /// The answer of one sentinel.
    private struct Statement {
        let primary: Endpoint
        let replicas: [Endpoint]
    }

    private let name: String
    private let isSecure: Bool
    private let count: Int
    private let asksForReplicas: Bool
    private let links: SentinelLinks
    private var statements: [Statement] = []
    private var failures: [String] = []
    private var completion: Completion?

    private init(
        _ name: String, _ count: Int, isSecure: Bool, asksForReplicas: Bool, _ links: SentinelLinks,
        _ completion: @escaping Completion
    ) {
        (self.name, self.count, self.isSecure, self.completion) = (name, count, isSecure, completion)
        (self.asksForReplicas, self.links) = (asksForReplicas, links)
    }

    /// Starts; `completion` is called once, in a later turn, unless the survey is cancelled.
    ///
    /// - Parameters:
    ///   - name: the name by which the sentinels know the primary.
    ///   - isSecure: whether the engine uses TLS, which the sentinels' addresses do not tell.
    ///   - asksForReplicas: whether the replicas are wanted, too; their list is long.
    ///   - links: stay open for the next survey.
    package static func begin(
        _ sentinels: [Endpoint], name: String, isSecure: Bool = false, asksForReplicas: Bool = true,
        over links: SentinelLinks, on reactor: Reactor, _ completion: @escaping Completion
    ) -> SentinelSurvey {
        let survey = SentinelSurvey(
            name, sentinels.count, isSecure: isSecure, asksForReplicas: asksForReplicas, links, completion)
        for sentinel in sentinels { links.open(sentinel) { survey.opened($0, sentinel) } }
        if sentinels.isEmpty { reactor.runSoon { survey.concludeIfKnown() } }
        return survey
    }

    /// Stops without calling `completion`; what the sentinels still answer is ignored.
    package func cancel() { completion = nil }

    private func opened(_ result: Result<EngineLink, EngineFailure>, _ sentinel: Endpoint) {
        switch result {
        case .failure(let failure): fail(sentinel, "\(failure)")
        case .success(let link):
            link.ask(["SENTINEL", "GET-MASTER-ADDR-BY-NAME", .text(name)]) { [self] in
                named($0, by: sentinel, link)
            }
        }
    }

    private func named(_ answer: EngineLink.Answer, by sentinel: Endpoint, _ link: EngineLink) {
        switch answer {
        case .failure(let failure): fail(sentinel, "\(failure)")
        case .success(let value):
            guard let primary = endpoint(value.elements ?? []) else {
                return fail(sentinel, "it knows no primary with the name \(name)")
            }
            guard asksForReplicas else {
                statements.append(Statement(primary: primary, replicas: []))
                return concludeIfKnown()
            }
            link.ask(["SENTINEL", "REPLICAS", .text(name)]) { [self] answer in
                switch answer {
                case .failure(let failure): fail(sentinel, "\(failure)")
                case .success(let value):
                    let replicas = (value.elements ?? []).compactMap { replica($0.elements ?? []) }
                    statements.append(Statement(primary: primary, replicas: replicas))
                    concludeIfKnown()
                }
            }
        }
    }

    private func fail(_ sentinel: Endpoint, _ text: String) {
        failures.append("\(sentinel): \(text)")
        concludeIfKnown()
    }

    /// The endpoint made from the host and port that a sentinel gives.
    private func endpoint(_ words: [RESPValue]) -> Endpoint? {
        guard words.count == 2, let host = words[0].text, let port = words[1].integer.flatMap(UInt16.init(exactly:))
        else {
            return nil
        }
        return .internet(host: host, port: port, isSecure: isSecure)
    }

    /// The endpoint made from the names and values that a sentinel gives for a replica; `nil` if the replica is not up.
    private func replica(_ words: [RESPValue]) -> Endpoint? {
        var facts: [String: RESPValue] = [:]
        for place in stride(from: 0, to: words.count - 1, by: 2) {
            if let name = words[place].text { facts[name] = words[place + 1] }
        }
        guard let flags = facts["flags"]?.text?.split(separator: ","), let host = facts["ip"], let port = facts["port"],
            flags.allSatisfy({ !["s_down", "o_down", "disconnected"].contains($0) })
        else { return nil }
        return endpoint([host, port])
    }

    private func concludeIfKnown() {
        guard completion != nil else { return }
        let majority = count / 2 + 1
        for statement in statements {
            let same = statements.filter { $0.primary == statement.primary }
            guard same.count >= majority else { continue }
            var replicas: [Endpoint] = []
            for replica in same.flatMap(\.replicas) where !replicas.contains(replica) { replicas.append(replica) }
            return finish(.success(EngineAddresses(primary: statement.primary, replicas: replicas)))
        }
        guard statements.count + failures.count == count else { return }
        // In the same order each time, whichever sentinel answers first.
        let reasons = failures.isEmpty ? "they do not agree" : failures.sorted().joined(separator: "; ")
        finish(
            .failure(
                .unfit("Not \(majority) of \(count) sentinels name the same primary for \(name): \(reasons).")))
    }

    private func finish(_ result: Result<EngineAddresses, EngineFailure>) {
        let completion = completion
        cancel()
        completion?(result)
    }
}
