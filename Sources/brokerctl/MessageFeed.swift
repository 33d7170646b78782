internal import Broker
internal import WSTransport

/// The messages of a filter, over several connections if necessary: when one breaks, the next one continues after the
/// last message.
struct MessageFeed {
    /// The subscription.
    struct Subscription {
        var filter: String
        var wantsSnapshot = true
        /// As in the protocol; `nil` for new messages only.
        var since: String?
        /// `nil` for the broker's default.
        var slow: SlowPolicy?
    }

    /// What the feed delivers.
    enum Event {
        case message(TopicMessage)
        /// Messages are missing; `missed` says how many, if known.
        case gap(filter: String, missed: Int?)
    }

    private let target: Target
    private let security: TLSContext?
    private let subscription: Subscription
    private let comesBack: Bool
    private var client: MessageClient
    /// The epoch that ``position`` belongs to.
    private var epoch: UInt64?
    /// Everything up to here has arrived; `nil` if the subscription has not begun.
    private var position: FeedPosition?
    /// How many numbers a position has.
    private var partitions = 1

    /// Connects and subscribes.
    ///
    /// - Parameter comesBack: whether to reconnect when the connection breaks; the first connection must succeed.
    init(_ options: ConnectionOptions, _ subscription: Subscription, comesBack: Bool) async throws {
        target = try options.target()
        security = try options.security(of: target)
        self.subscription = subscription
        self.comesBack = comesBack
        client = try await MessageClient(target, security)
        try await client.send(Self.request(subscription, since: subscription.since))
    }

    /// Waits for the next event; throws when the subscription has ended permanently.
    mutating func next() async throws -> Event {
        while true {
            do {
                if let event = try await take() { return event }
            } catch let failure as Failure {
                guard comesBack, let end = client.passingEnd, Self.isPassing(end.code) else { throw failure }
                try await comeBack(failure, pause: Self.pause(end.code, end.reason))
            }
        }
    }

    func close() async { await client.close() }

    /// The next event of this connection; `nil` if something else arrived.
    private mutating func take() async throws -> Event? {
        switch try await client.next() {
        case .message(let message):
            if !message.isRetained, let seq = message.seq {
                // Of several partitions the others' numbers are not known before the marker `live`.
                if position == nil, partitions == 1 { position = FeedPosition(seq) }
                position?.advance(to: seq)
            }
            return .message(message)
        case .ok(_, let answer):
            let begin = try Self.begin(answer)
            // Numbers of another store have no meaning in this one.
            if begin.epoch != epoch { position = nil }
            epoch = begin.epoch
            partitions = begin.position?.count ?? 1
            // Otherwise the marker `live` says when the initial messages are complete.
            if position == nil, !subscription.wantsSnapshot, subscription.since == nil {
                position = begin.position
            }
            return nil
        case .live(let reached):
            if position == nil { position = reached }
            position?.advance(to: reached)
            return nil
        case .gap(let filter, let missed): return .gap(filter: filter, missed: missed)
        case .error(_, let reason): throw Failure.failed(reason)
        case .revoked(let reason): throw Failure.failed("the subscription has ended: \(reason)")
        case .welcome, .reply, .other: return nil
        }
    }

    private static func begin(_ answer: [UInt8]) throws(Failure) -> (position: FeedPosition?, epoch: UInt64?) {
        do throws(JSONError) {
            let object = try JSONObject.parse(answer.span)
            let position = FeedPosition(seq: try object.integer("seq"), position: try object.string("position"))
            return (position, try object.integer("epoch"))
        } catch {
            throw .notUnderstood(error)
        }
    }

    private static func request(_ subscription: Subscription, since: String?) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("op", "subscribe")
        writer.member("id", 1)
        writer.member("filter", subscription.filter)
        if !subscription.wantsSnapshot { writer.member("snapshot", false) }
        if let since { writer.member("since", since) }
        if let slow = subscription.slow { writer.member("slow", slow.rawValue) }
        writer.endObject()
        return writer.bytes
    }

    // MARK: Reconnecting

    /// The first pause, and the longest one, in milliseconds.
    private static let firstPause = 500
    private static let longestPause = 15_000

    /// Whether another connection may succeed, given how the last one ended (the contract's §3.6).
    private static func isPassing(_ code: CloseCode) -> Bool {
        switch code {
        case .normal, .goingAway, .noStatusReceived, .abnormal, .internalError, .serviceRestart, .tryAgainLater,
            .policyViolation, CloseCode(rawValue: 4429):
            true
        default: false
        }
    }

    /// The pause that a restarting broker has requested, in milliseconds; `nil` if there is none.
    private static func pause(_ code: CloseCode, _ reason: String) -> Int? {
        guard code == .serviceRestart, reason.hasPrefix("retry=") else { return nil }
        return Int(reason.dropFirst("retry=".count)).map { min(max(0, $0), 3_600_000) }
    }

    /// Reconnects, however long that takes, and continues at the same position.
    private mutating func comeBack(_ failure: Failure, pause: Int?) async throws {
        Output.complain("\(failure.message); reconnecting")
        var (pause, longest) = (pause, Self.firstPause)
        while true {
            // A random time, because many clients may have lost their connections at the same moment.
            try await Task.sleep(for: .milliseconds(pause ?? Int.random(in: 0...longest)))
            pause = nil
            longest = min(2 * longest, Self.longestPause)
            do {
                let new = try await MessageClient(target, security)
                let since = position?.text(of: epoch)
                try await new.send(Self.request(subscription, since: since ?? subscription.since))
                client = new
                return Output.complain("reconnected")
            } catch let failure as Failure where failure.isPassing {
                continue
            }
        }
    }
}
