package import WSTransport

/// The counters of one reactor's part of the broker; written on its thread, read on any.
package final class ShardCounters: Sendable {
    /// Clients and subscriptions, now.
    package let clients = Counter()
    package let subscriptions = Counter()
    package let published = Counter()
    package let publishedBytes = Counter()
    package let refusedPublishes = Counter()
    /// Publications that repeated a message with the same key.
    package let repeatedPublishes = Counter()
    package let rateLimited = Counter()
    package let subscriptionLimit = Counter()
    /// Turns whose publishers had to wait for other reactors.
    package let congestions = Counter()
    package let errors = Counter()
    /// Requests that were refused for lack of a right: publications, subscriptions and reads, changes of retained
    /// values.
    package let deniedPublishes = Counter()
    package let deniedSubscribes = Counter()
    package let deniedRetains = Counter()
    /// Verbs that an administrator had no right to, and administrators without any right.
    package let deniedAdministration = Counter()
    /// Subscriptions that ended because the right to them was withdrawn.
    package let revoked = Counter()
    /// Credentials that were examined, by their kind.
    package let passwords = Examinations()
    package let sessions = Examinations()
    package let tokens = Examinations()
    package let webTokens = Examinations()
    package let certificates = Examinations()
    package let peers = Examinations()
    /// Credentials that cannot be parsed.
    package let unknownCredentials = Examinations()
    /// Grants, one for each set of principals that the rules treat alike.
    package let grants = Counter()
    /// Clients that were disconnected because their credentials are no longer valid.
    package let revokedClients = Counter()
    /// Clients that a ban has disconnected, and requests that one has refused.
    package let bannedClients = Counter()
    package let bannedRequests = Counter()
    /// Stored values that were shown again because the store refused newer ones, and those for which there was no room.
    package let reversions = Counter()
    package let omittedReversions = Counter()
    /// Frames whose commands took more than one turn.
    package let heldFrames = Counter()
    /// Turns in which some client that is behind did not get a piece of what it is owed.
    package let fullTurns = Counter()
    /// Requests that were refused: from pages of other origins, and for hosts that the broker does not serve.
    package let refusedOrigins = Counter()
    package let refusedHosts = Counter()
    /// Nodes of filters with wildcards that were visited to find a message's subscribers.
    package let matchedNodes = Counter()
    /// Live messages handed to connections, and retained values sent in snapshots.
    package let delivered = Counter()
    package let snapshots = Counter()
    /// Retained values whose expiry was announced.
    package let expired = Counter()
    /// Messages sent from the history.
    package let replayed = Counter()
    /// How often a connection did not take what it was sent, and fell behind.
    package let fallsBehind = Counter()
    /// Messages dropped because a subscriber was too slow, by the subscriber's policy.
    package let dropped = Counter()
    /// Requests: made, waiting for a reply now, and without a reply in time.
    package let requests = Counter()
    package let waitingRequests = Counter()
    package let lateRequests = Counter()
    /// Ephemeral values: removed because they had ended, and refused because of a limit.
    package let endedEphemerals = Counter()
    package let refusedEphemerals = Counter()
    /// Gaps announced.
    package let gaps = Counter()
    /// Clients for which messages wait now.
    package let behind = Counter()
    /// Subscriptions that resumed: with all missed messages, and with a gap.
    package let resumes = Counter()
    package let resumesWithGap = Counter()
    /// The time until the sockets have a publication, in microseconds; some publications are measured.
    package let deliveries = Histogram(
        bounds: [50, 100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000])
    /// The traffic of each endpoint.
    private let json = EndpointTraffic()
    private let msgpack = EndpointTraffic()
    private let topic = EndpointTraffic()
    private let subscription = EndpointTraffic()
    private let lines = EndpointTraffic()
    private let events = EndpointTraffic()
    private let http = EndpointTraffic()
    private let other = EndpointTraffic()
    /// The errors sent to clients, in the order of the codes.
    private let codes = ErrorCode.allCases.map { _ in ErrorCount() }

    package init() {}
}

/// How often credentials of one kind were right, and how often wrong.
package struct Examinations: ~Copyable, Sendable {
    package let right = Counter()
    package let wrong = Counter()

    package func count(isRight: Bool) { if isRight { right.add(1) } else { wrong.add(1) } }
}

extension ShardCounters {
    /// Counts credentials that were examined.
    package func count(_ credentials: Credentials, isRight: Bool) {
        switch credentials {
        case .nothing, .administrator: break
        case .basic: passwords.count(isRight: isRight)
        case .session: sessions.count(isRight: isRight)
        case .bearer(let text) where OpaqueToken.isJWT(text): webTokens.count(isRight: isRight)
        case .bearer: tokens.count(isRight: isRight)
        case .certificate: certificates.count(isRight: isRight)
        case .peer: peers.count(isRight: isRight)
        case .malformed: unknownCredentials.count(isRight: isRight)
        }
    }
}

/// The interface by which a client uses the broker.
///
/// The names are values of a label of the metrics.
package enum ClientEndpoint: UInt8, Sendable, CaseIterable {
    case json, msgpack, topic, subscription, lines, events, http, other

    /// The endpoint with a ``protocolName``.
    package init(protocolName: String) {
        self = Self.allCases.first { $0.protocolName == protocolName } ?? .other
    }

    /// The protocol of its clients, as administrators see it.
    package var protocolName: String {
        switch self {
        case .json: "broker.v1.json"
        case .msgpack: "broker.v1.msgpack"
        // Administrators over the network.
        case .other: "broker.admin.v1.json"
        // Written out, because an interpolation finds the name by reflection, and every new client is compared with
        // these.
        case .topic: "topic"
        case .subscription: "subscription"
        case .lines: "lines"
        case .events: "events"
        case .http: "http"
        }
    }
}

/// The traffic of one endpoint on a reactor: numbers of messages, and their payload in bytes.
package struct EndpointTraffic: ~Copyable, Sendable {
    package let clients = Counter()
    package let received = Counter()
    package let receivedBytes = Counter()
    package let sent = Counter()
    package let sentBytes = Counter()
}

/// A class, because an array cannot hold a value that cannot be copied.
private final class ErrorCount: Sendable {
    let value = Counter()
}

extension ShardCounters {
    /// Passes `body` the traffic of an endpoint.
    @inline(__always)
    package func traffic<Result>(of endpoint: ClientEndpoint, _ body: (borrowing EndpointTraffic) -> Result) -> Result {
        switch endpoint {
        case .json: body(json)
        case .msgpack: body(msgpack)
        case .topic: body(topic)
        case .subscription: body(subscription)
        case .lines: body(lines)
        case .events: body(events)
        case .http: body(http)
        case .other: body(other)
        }
    }

    /// Counts a publication that has passed the checks.
    func received(_ bytes: Int, by endpoint: ClientEndpoint) {
        traffic(of: endpoint) { traffic in
            traffic.received.add(1)
            traffic.receivedBytes.add(bytes)
        }
    }

    /// Counts a message that was sent to `count` subscribers.
    func sent(_ bytes: Int, times count: Int = 1, by endpoint: ClientEndpoint) {
        traffic(of: endpoint) { traffic in
            traffic.sent.add(count)
            traffic.sentBytes.add(bytes &* count)
        }
    }

    /// Counts an error that is sent to a client.
    ///
    /// Only on the owning thread.
    package func failed(with code: ErrorCode) { codes[code.index].value.add(1) }

    /// How often an error was sent to clients.
    package func errors(of code: ErrorCode) -> Int { codes[code.index].value.current }
}

extension ErrorCode {
    /// Its index among all codes.
    fileprivate var index: Int { Self.indices[self] ?? 0 }

    private static let indices = Dictionary(uniqueKeysWithValues: zip(allCases, 0...))
}
