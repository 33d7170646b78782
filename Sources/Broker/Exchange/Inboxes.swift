package import WSTransport

// A request is a message whose reply topic is an inbox that the broker makes for it: `$inbox/CLIENT/` and 128 random
// bits. A client that receives the request learns the topic and may publish to it; no client can subscribe to it. The
// reply is numbered like any message, so it reaches the reactor of the request wherever it was published.

/// The requests of one reactor's clients that wait for a reply.
///
/// Runs on the reactor's thread.
package final class Inboxes {
    /// The result of a request.
    package enum Outcome {
        case reply(Message)
        /// The publication was refused, or no reply came in time.
        case failed(Refusal)
        /// No reply came in time; the value is the time that has passed, in milliseconds.
        case late(Int64)
    }

    private struct Waiting {
        let owner: UInt64
        /// Ends the time to wait.
        let alarm: TimedTasks.ID
        let body: (Outcome) -> Void
    }

    /// The longest time that a request may wait for a reply, and the time if the client gives none, in milliseconds.
    package static let maximumTimeout: Int64 = 300_000
    package static let usualTimeout: Int64 = 10_000

    private let reactor: Reactor
    private let counters: ShardCounters
    private var waiting: [Topic: Waiting] = [:]
    /// The requests of each client that wait.
    private var owners: [UInt64: Set<Topic>] = [:]

    init(reactor: Reactor, counters: ShardCounters) {
        self.reactor = reactor
        self.counters = counters
    }

    /// Whether no request waits.
    ///
    /// Every message asks this, so it reads a counter: reading the dictionary would need an exclusivity check.
    var isEmpty: Bool { counters.waitingRequests.current == 0 }

    /// Makes an inbox for a request of a client.
    ///
    /// - Parameters:
    ///   - most: how many requests a client may have.
    ///   - timeout: in milliseconds.
    ///   - body: gets the outcome, once; not called if the client leaves first.
    func open(
        for client: Client, atMost most: Int, timeout: Int64, _ body: @escaping (Outcome) -> Void
    ) throws(Refusal) -> Topic {
        guard owners[client.id]?.count ?? 0 < most else {
            throw Refusal(limit: "limits.requests_per_client")
        }
        let random = (0..<2).map { _ in String(UInt64.random(in: 0 ... .max), radix: 36) }.joined()
        let topic = Topic(unchecked: "\(Topic.inboxes)\(client.name)/\(random)")
        let alarm = reactor.schedule(afterNanoseconds: timeout * 1_000_000) { [weak self] in
            guard let self, let late = close(topic) else { return }
            counters.lateRequests.add(1)
            late.body(.late(timeout))
        }
        waiting[topic] = Waiting(owner: client.id, alarm: alarm, body: body)
        owners[client.id, default: []].insert(topic)
        counters.requests.add(1)
        counters.waitingRequests.add(1)
        return topic
    }

    /// Fails a request whose publication was refused.
    func fail(_ topic: Topic, _ refusal: Refusal) { close(topic)?.body(.failed(refusal)) }

    /// Takes a message that was published to an inbox; only the first one counts.
    func take(_ message: Message) { close(message.topic)?.body(.reply(message)) }

    /// Forgets the requests of a client that has left.
    package func forget(_ client: UInt64) {
        guard let gone = owners.removeValue(forKey: client) else { return }
        for topic in gone {
            if let request = waiting.removeValue(forKey: topic) { reactor.cancel(request.alarm) }
        }
        counters.waitingRequests.add(-gone.count)
    }

    /// Fails all requests, because no reply can come any more.
    func refuseAll(_ refusal: Refusal) {
        for topic in Array(waiting.keys) { fail(topic, refusal) }
    }

    private func close(_ topic: Topic) -> Waiting? {
        guard let found = waiting.removeValue(forKey: topic) else { return nil }
        reactor.cancel(found.alarm)
        owners[found.owner]?.remove(topic)
        if owners[found.owner]?.isEmpty == true { owners[found.owner] = nil }
        counters.waitingRequests.add(-1)
        return found
    }
}

extension Shard {
    /// Publishes a request of a client.
    ///
    /// - Parameters:
    ///   - timeout: how long to wait for the reply, in milliseconds.
    ///   - published: called when the request has been accepted.
    ///   - body: gets the outcome, once; not called if the client leaves first.
    package func request(
        _ draft: Draft, by client: Client, from source: StreamConnection?, timeout: Int64,
        published: @escaping (Receipt) -> Void, _ body: @escaping (Inboxes.Outcome) -> Void
    ) throws(Refusal) {
        beAttentive()
        let inbox: Topic
        do throws(Refusal) {
            inbox = try inboxes.open(
                for: client, atMost: settings.limits.requestsPerClient, timeout: timeout, body)
        } catch {
            if let limit = error.limit { witness?.limited(client, by: limit) }
            throw error
        }
        var draft = draft
        do throws(Refusal) {
            draft.properties = try MessageProperties(
                headers: draft.properties?.headers ?? [], replyTo: inbox, correlation: draft.properties?.correlation)
            draft.completion = { [inboxes] result in
                switch result {
                case .success(let receipt): published(receipt)
                case .failure(let refusal): inboxes.fail(inbox, refusal)
                }
            }
            try publish(draft, by: client, from: source)
        } catch {
            // The caller gets the error itself.
            inboxes.drop(inbox)
            throw error
        }
    }
}

extension Inboxes {
    /// Forgets a request without telling its caller.
    fileprivate func drop(_ topic: Topic) { _ = close(topic) }
}

extension Topic {
    /// The prefix of the topics of inboxes.
    static let inboxes = "$inbox/"

    /// Whether it is the topic of an inbox.
    var isInbox: Bool { isReserved && name.utf8.starts(with: Self.inboxes.utf8) }
}

extension TopicFilter {
    /// Whether it could match topics of inboxes.
    var isOfInboxes: Bool { name.utf8.starts(with: "$inbox".utf8) }
}
