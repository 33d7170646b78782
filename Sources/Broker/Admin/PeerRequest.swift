internal import WSTransport

/// Another broker of the cluster.
package struct ClusterPeer: Sendable {
    let node: UInt64
    let name: String
    /// Whether it was not heard from within the lease: it is not asked, but named as missing.
    let isSilent: Bool

    /// All other brokers, before the list of them has been read from the engine.
    static let unknown = ClusterPeer(node: 0, name: "*", isSilent: true)
    var isUnknown: Bool { node == 0 }

    /// The refusal of a request that this broker would have to answer.
    var silence: Refusal {
        let ignorance = "This broker does not know the others yet: it has had no connection to the cluster's engine."
        return Refusal(.unavailable, isUnknown ? ignorance : "The broker \(AuditEvent.clip(name)) does not respond.")
    }

    package init(node: UInt64, name: String, isSilent: Bool = false) {
        (self.node, self.name, self.isSilent) = (node, name, isSilent)
    }

    /// Whether a text names this broker: by its name, or by its number in base 16.
    func isNamed(_ text: String) -> Bool { text == name || text == String(node, radix: 16) }
}

/// A request that one or all of the other brokers of the cluster answer, too.
protocol PeerRequest: AnsweredRequest {
    /// The broker that must answer, by name or number; `nil` for the one that has the client, or for all.
    var node: String? { get }
    /// The client that the request is about; `nil` if it is about all clients.
    var concerned: String? { get }
    /// Whether all brokers are asked if the request names no broker and no client.
    var isForAll: Bool { get }
    /// The request to the other brokers.
    var question: Self { get }
    /// Whether the others are asked before this broker does its part.
    var asksOthersFirst: Bool { get }
    /// How long the others may take, in nanoseconds.
    var patience: Int64 { get }
    /// Answers for this broker alone.
    func answerHere(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal)
    /// Combines the answers of several brokers.
    ///
    /// - Parameters:
    ///   - name: the name of the broker with the answer `own`.
    ///   - missing: the names of the brokers that have not answered.
    func gather(_ own: Answer, of name: String, _ others: [PeerAnswer<Answer>], missing: [String]) -> Answer
}

/// The answer of another broker.
struct PeerAnswer<Answer> {
    let name: String
    let answer: Answer
}

extension PeerRequest {
    var concerned: String? { nil }
    var isForAll: Bool { true }
    var question: Self { self }
    var asksOthersFirst: Bool { false }
    var patience: Int64 { 3_000_000_000 }

    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal) {
        guard caller.peer == nil else { return try answerHere(caller, then) }
        guard let cluster = caller.desk.facts.cluster else {
            if node != nil {
                throw Refusal(.badRequest, "node: this broker is not in a cluster: its settings have no cluster.")
            }
            return try answerHere(caller, then)
        }
        let peers = cluster.peers()
        if let node {
            // After the loss of a data directory, a broker that is down may have the same name.
            var meant = peers.filter { $0.isNamed(node) }
            if meant.contains(where: { !$0.isSilent }) || cluster.here.isNamed(node) {
                meant.removeAll(where: \.isSilent)
            }
            let isHere = cluster.here.isNamed(node)
            guard meant.count + (isHere ? 1 : 0) <= 1 else {
                throw Refusal(
                    .badRequest, "node: several brokers have the name \(AuditEvent.clip(node)); give a number.")
            }
            if let peer = meant.first { return try ask(peer, cluster, caller, then) }
            guard isHere else {
                if let unknown = peers.first(where: \.isUnknown) { throw unknown.silence }
                throw Refusal(.notFound, "There is no broker \(AuditEvent.clip(node)) in the cluster now.")
            }
            return try answerHere(caller) { then($0.map { gather($0, of: cluster.here.name, [], missing: []) }) }
        }
        if let concerned {
            let prefix = Client.number(named: concerned).map { $0 >> 48 }
            if let prefix, prefix != cluster.here.node >> 48,
                let peer = peers.first(where: { $0.isUnknown || $0.node >> 48 == prefix })
            {
                return try ask(peer, cluster, caller, then)
            }
            return try answerHere(caller) { then($0.map { gather($0, of: cluster.here.name, [], missing: []) }) }
        }
        guard isForAll else { return try answerHere(caller, then) }
        let parts = PeerParts(self, of: cluster.here.name, peers, then)
        let living = peers.filter { !$0.isSilent }
        if asksOthersFirst {
            try ask(living, cluster, caller) { answers in
                parts.take(answers)
                do throws(Refusal) { try answerHere(caller) { parts.take($0) } } catch { parts.take(.failure(error)) }
            }
        } else {
            // If this broker refuses at once, no other is asked.
            try answerHere(caller) { parts.take($0) }
            do throws(Refusal) { try ask(living, cluster, caller) { parts.take($0) } } catch { parts.take([:]) }
        }
    }

    /// Lets one other broker answer.
    private func ask(
        _ peer: ClusterPeer, _ cluster: ClusterDesk, _ caller: AdminCaller,
        _ then: @escaping (Result<Answer, Refusal>) -> Void
    ) throws(Refusal) {
        let silence = peer.silence
        guard !peer.isSilent else { throw silence }
        try ask([peer], cluster, caller) { answers in
            then((answers[peer.node] ?? .failure(silence)).map { gather($0, of: peer.name, [], missing: []) })
        }
    }

    /// Asks other brokers, and waits for ``patience``.
    private func ask(
        _ peers: [ClusterPeer], _ cluster: ClusterDesk, _ caller: AdminCaller,
        _ then: @escaping ([UInt64: Result<Answer, Refusal>]) -> Void
    ) throws(Refusal) {
        guard !peers.isEmpty else { return then([:]) }
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("id", 1)
        writer.member("verb", Self.verb)
        (peers.count == 1 && node != nil || concerned != nil ? self : question).write(to: &writer)
        writer.member("actor", caller.actorName)
        writer.endObject()
        let reactor = caller.desk.shard.reactor
        let link = ReactorLink(remote: reactor.remote)
        link.bind(PeerAsker { answers in then(answers.compactMapValues { Self.outcome($0) }) }, on: reactor)
        let number = cluster.ask(peers.map(\.node), writer.bytes) { answers in
            link.take(PeerAsker.self) { $0?.then(answers) }
        }
        guard let number else {
            link.release(on: reactor)
            throw Refusal(.unavailable, "Too many requests to other brokers are in progress; try again.")
        }
        reactor.run(afterNanoseconds: patience) { cluster.giveUp(number) }
    }

    /// The outcome of another broker; `nil` if its answer cannot be read.
    private static func outcome(_ bytes: [UInt8]) -> Result<Answer, Refusal>? {
        (try? AdminReply<Answer>(bytes)).map { reply in
            reply.outcome.mapError { Refusal(ErrorCode(rawValue: $0.code) ?? .internal, $0.message) }
        }
    }
}

/// Waits for the answers of other brokers, on its reactor's thread.
private final class PeerAsker {
    let then: ([UInt64: [UInt8]]) -> Void
    init(_ then: @escaping ([UInt64: [UInt8]]) -> Void) { self.then = then }
}

/// Holds this broker's answer and those of the others, until both are complete.
private final class PeerParts<Request: PeerRequest> {
    private let request: Request
    private let name: String
    private let peers: [ClusterPeer]
    private let then: (Result<Request.Answer, Refusal>) -> Void
    private var own: Result<Request.Answer, Refusal>?
    private var others: [UInt64: Result<Request.Answer, Refusal>]?

    init(
        _ request: Request, of name: String, _ peers: [ClusterPeer],
        _ then: @escaping (Result<Request.Answer, Refusal>) -> Void
    ) { (self.request, self.name, self.peers, self.then) = (request, name, peers, then) }

    func take(_ own: Result<Request.Answer, Refusal>) {
        self.own = own
        conclude()
    }

    func take(_ others: [UInt64: Result<Request.Answer, Refusal>]) {
        self.others = others
        conclude()
    }

    private func conclude() {
        guard let own, let others else { return }
        var (answers, missing): ([PeerAnswer<Request.Answer>], [String]) = ([], [])
        for peer in peers {
            guard case .success(let answer) = others[peer.node] else {
                missing.append(peer.name)
                continue
            }
            answers.append(PeerAnswer(name: peer.name, answer: answer))
        }
        then(own.map { request.gather($0, of: name, answers, missing: missing) })
    }
}

// MARK: Asked by another broker

extension AdminDesk {
    /// Answers a request of another broker, which has checked the rights of its administrator.
    func answer(_ question: [UInt8], of name: String, _ then: @escaping @Sendable ([UInt8]) -> Void) {
        do throws(JSONError) {
            let object = try JSONObject.parse(question.span, maximumDepth: AdminWire.maximumDepth)
            let verb = try object.string("verb") ?? ""
            guard let type = AdminSession.verbs[verb] as? any PeerRequest.Type else {
                return then(Self.refused(Refusal(.badRequest, "verb: there is no \"\(verb)\" for other brokers.")))
            }
            try answer(type, object, name, then)
        } catch {
            then(Self.refused(Refusal(.badRequest, "\(error).")))
        }
    }

    private func answer<Request: PeerRequest>(
        _ type: Request.Type, _ object: borrowing JSONObject, _ name: String,
        _ then: @escaping @Sendable ([UInt8]) -> Void
    ) throws(JSONError) {
        let request = try Request(object)
        let actor = try object.string("actor") ?? "an administrator"
        let caller = AdminCaller(desk: self, source: nil, session: nil, peer: "\(actor) at \(name)")
        func conclude(_ result: Result<Request.Answer, Refusal>) {
            var event = AuditEvent(request.ownEvent)
            event.target = request.subject.map(AuditEvent.clip)
            switch result {
            case .success(let answer):
                event.result = request.outcome(answer)
                then(AdminWire.answer(Self.number) { answer.writeAnswer(to: &$0) })
            case .failure(let refusal):
                event.result = refusal.code.rawValue
                then(Self.refused(refusal))
            }
            if Request.isAudited { caller.record(event) }
        }
        do throws(Refusal) { try request.answerHere(caller) { conclude($0) } } catch { conclude(.failure(error)) }
    }

    private static let number = Array("1".utf8)

    private static func refused(_ refusal: Refusal) -> [UInt8] {
        AdminWire.answer(number) { writer in
            writer.name("error")
            writer.beginObject()
            writer.member("code", refusal.code.rawValue)
            writer.member("message", refusal.message)
            writer.endObject()
        }
    }
}
