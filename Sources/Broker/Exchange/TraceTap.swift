package import WSTransport

/// Records each decision about a topic or a client on one reactor, while an administrator watches.
///
/// Runs on the reactor's thread.
package final class TraceTap {
    /// A decision, as the administrator reads it.
    package struct Entry: Sendable {
        /// The time of the decision, in nanoseconds of the monotonic clock.
        package let moment: Int64
        package let line: [UInt8]
    }

    /// The maximum number of taps of a reactor.
    package static let maximumTaps = 4
    /// The maximum number of waiting lines; further ones are only counted.
    private static let maximumLines = 10_000
    /// How long a tap is kept without being read, in nanoseconds.
    package static let patience: Int64 = 10_000_000_000

    let number: UInt64
    private let filter: TopicFilter?
    private let client: UInt64?
    private var entries: [Entry] = []
    private var missed = 0
    /// The topics and numbers of accepted messages that may yet be stored, by their places in the order; at most
    /// ``maximumLines``.
    private var unsettled: [UInt64: (topic: Topic, number: UInt64)] = [:]
    private(set) var asked: MonotonicTime

    /// - Parameters:
    ///   - filter: records only topics that it matches; `nil`: all.
    ///   - client: records only what concerns this client; `nil`: all.
    package init(number: UInt64, filter: TopicFilter?, client: UInt64?, now: MonotonicTime) {
        self.number = number
        self.filter = filter
        self.client = client
        asked = now
    }

    /// Takes the lines since the last call, and the number of lines that were only counted.
    package func take(now: MonotonicTime) -> (entries: [Entry], missed: Int) {
        asked = now
        defer { (entries, missed) = ([], 0) }
        return (entries, missed)
    }

    /// Records a message that was handed to its subscribers.
    ///
    /// - Parameters:
    ///   - count: how many of them took it at once.
    ///   - isAccepted: whether it was accepted on this reactor.
    ///   - session: returns the session of a client; `nil` if it is not on this reactor.
    func published(_ message: Message, to count: Int, isAccepted: Bool, _ session: (UInt64) -> (any Session)?) {
        guard filter?.matches(message.topic) ?? true else { return }
        if isAccepted, client == nil || client == message.origin {
            add("accepted") { writer in
                Self.name(message, &writer)
                if message.origin != 0 { writer.member("from", Client.name(message.origin)) }
                writer.member("bytes", message.payloadCount)
                if message.isRetained { writer.member("retain", true) }
            }
            if unsettled.count < Self.maximumLines { unsettled[message.seq] = (message.topic, message.number) }
        }
        guard let client else {
            return add("delivered") { writer in
                Self.name(message, &writer)
                writer.member("clients", count)
            }
        }
        guard let session = session(client), session.subscriptions.isDue(message, client: client) else { return }
        add(session.subscriptions.isBehind ? "waiting" : "delivered") { writer in
            Self.name(message, &writer)
            writer.member("to", Client.name(client))
        }
    }

    /// Records what the store has done with accepted messages; those that it need not store are not mentioned.
    func settled(_ settlement: StoreThread.Settlement) {
        guard !unsettled.isEmpty else { return }
        for seq in settlement.committed {
            guard let message = unsettled.removeValue(forKey: seq) else { continue }
            add("stored") { Self.name(message.topic, message.number, &$0) }
        }
        for (seq, error, _) in settlement.failed {
            guard let message = unsettled.removeValue(forKey: seq) else { continue }
            add("not-stored") { writer in
                Self.name(message.topic, message.number, &writer)
                writer.member("reason", "\(error)")
            }
        }
        for seq in unsettled.keys where seq <= settlement.committedUpTo { unsettled[seq] = nil }
    }

    /// Records that a client was refused a publication or a subscription.
    ///
    /// - Parameters:
    ///   - name: the topic or filter as the client wrote it; empty if it is not known.
    ///   - client: its number; 0 if it is not known.
    func refused(_ refusal: Refusal, _ name: String, _ client: UInt64) {
        guard isAbout(client, name) else { return }
        add("refused") { writer in
            if !name.isEmpty { writer.member("topic", name) }
            if client != 0 { writer.member("client", Client.name(client)) }
            writer.member("code", refusal.code.rawValue)
            writer.member("reason", refusal.message)
        }
    }

    /// Records a publication that repeats one with the same key, which is only answered.
    ///
    /// - Parameter number: that of the message that it repeats.
    func repeated(_ topic: Topic, _ client: UInt64, _ number: UInt64) {
        guard isAbout(client, topic.name) else { return }
        add("repeated") { writer in
            writer.member("topic", topic.name)
            writer.member("seq", number)
            if client != 0 { writer.member("from", Client.name(client)) }
        }
    }

    private func isAbout(_ client: UInt64, _ name: String) -> Bool {
        guard self.client.map({ $0 == client }) ?? true else { return false }
        guard let filter else { return true }
        return (try? Topic(name)).map { filter.matches($0) } == true || filter.name == name
    }

    /// Records an event of a client that is slow.
    func slow(_ what: StaticString, _ client: Client, _ message: Message? = nil, seq: UInt64) {
        guard self.client.map({ $0 == client.id }) ?? true else { return }
        if let filter, message.map({ filter.matches($0.topic) }) != true { return }
        add(what) { writer in
            if let message { writer.member("topic", message.topic.name) }
            writer.member("seq", seq)
            writer.member("client", client.name)
        }
    }

    private static func name(_ message: Message, _ writer: inout JSONWriter) {
        name(message.topic, message.number, &writer)
    }

    private static func name(_ topic: Topic, _ number: UInt64, _ writer: inout JSONWriter) {
        writer.member("topic", topic.name)
        writer.member("seq", number)
    }

    private func add(_ what: StaticString, _ members: (inout JSONWriter) -> Void) {
        guard entries.count < Self.maximumLines else { return missed += 1 }
        var writer = JSONWriter(capacity: 160)
        writer.beginObject()
        writer.member("time", "\(Timestamp(unixMilliseconds: WallClock.unixMilliseconds))")
        writer.member("event", "\(what)")
        members(&writer)
        writer.endObject()
        entries.append(Entry(moment: MonotonicTime.now.nanoseconds, line: writer.bytes))
    }
}
