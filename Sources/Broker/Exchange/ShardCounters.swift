package import WSTransport

/// The counters of one reactor's part of the broker; written on its thread, read on any.
package final class ShardCounters: Sendable {
    /// Present clients and subscriptions.
    package let clients = Counter()
    package let subscriptions = Counter()
    package let published = Counter()
    package let publishedBytes = Counter()
    package let refusedPublishes = Counter()
    /// Publications that repeated one of the same key.
    package let repeatedPublishes = Counter()
    package let rateLimited = Counter()
    package let subscriptionLimit = Counter()
    /// Turns whose publishers had to wait for other reactors.
    package let congestions = Counter()
    package let errors = Counter()
    /// Acts that were refused for lack of a right: publications, subscriptions and reads, changes of retained values.
    package let deniedPublishes = Counter()
    package let deniedSubscribes = Counter()
    package let deniedRetains = Counter()
    /// Verbs that an administrator had no right to, and administrators without any.
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
    /// Those that cannot be read.
    package let unknownCredentials = Examinations()
    /// Grants, one for each set of principals that the rules treat alike.
    package let grants = Counter()
    /// Clients that were disconnected because their credentials are no longer valid.
    package let revokedClients = Counter()
    /// Clients that a ban has ended, and requests that one has turned away.
    package let bannedClients = Counter()
    package let bannedRequests = Counter()
    /// Values that were shown again because the store refused newer ones, and those that found no room.
    package let reversions = Counter()
    package let omittedReversions = Counter()
    /// Frames whose commands took more than one turn.
    package let heldFrames = Counter()
    /// Turns in which not every client that was behind got a piece of what is due to it.
    package let fullTurns = Counter()
    /// Refused requests: from pages of other origins, and for hosts that the broker does not answer to.
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
    /// Times a connection did not take what it was sent and fell behind.
    package let fallsBehind = Counter()
    /// Messages dropped because a subscriber was too slow, by its own policy.
    package let dropped = Counter()
    /// Requests that were made, that wait for a reply now, and that got none in time.
    package let requests = Counter()
    package let waitingRequests = Counter()
    package let lateRequests = Counter()
    /// Ephemeral values that were removed because their time was over, and those that were refused beyond a limit.
    package let endedEphemerals = Counter()
    package let refusedEphemerals = Counter()
    /// Gaps announced.
    package let gaps = Counter()
    /// Clients for which messages wait now.
    package let behind = Counter()
    /// Subscriptions that resumed: those that got all they had missed, and those that were told of a gap.
    package let resumes = Counter()
    package let resumesWithGap = Counter()
    /// How long publications took until the sockets had them, in microseconds; some are measured.
    package let deliveries = Histogram(
        bounds: [50, 100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000])
    /// What came in and went out by each endpoint.
    private let json = EndpointTraffic()
    private let msgpack = EndpointTraffic()
    private let topic = EndpointTraffic()
    private let subscription = EndpointTraffic()
    private let lines = EndpointTraffic()
    private let events = EndpointTraffic()
    private let http = EndpointTraffic()
    private let other = EndpointTraffic()
    /// The errors that clients were told of, in the order of their codes.
    private let codes = ErrorCode.allCases.map { _ in ErrorCount() }

    package init() {}
}

/// How often credentials of one kind were right, and how often not.
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

/// The way by which a client uses the broker.
///
/// Its names are values of a label of the metrics.
package enum ClientEndpoint: UInt8, Sendable, CaseIterable {
    case json, msgpack, topic, subscription, lines, events, http, other

    /// The endpoint of a ``protocolName``.
    package init(protocolName: String) {
        self = Self.allCases.first { $0.protocolName == protocolName } ?? .other
    }

    /// What clients of the endpoint speak.
    package var protocolName: String {
        switch self {
        case .json: "broker.v1.json"
        case .msgpack: "broker.v1.msgpack"
        // Administrators over the network.
        case .other: "broker.admin.v1.json"
        // Written out: an interpolation finds the name by reflection, and each client that comes is compared with them.
        case .topic: "topic"
        case .subscription: "subscription"
        case .lines: "lines"
        case .events: "events"
        case .http: "http"
        }
    }
}

/// What one endpoint of a reactor has carried: numbers of messages, and their payload in bytes.
package struct EndpointTraffic: ~Copyable, Sendable {
    package let clients = Counter()
    package let received = Counter()
    package let receivedBytes = Counter()
    package let sent = Counter()
    package let sentBytes = Counter()
}

/// An array holds no value that cannot be copied.
private final class ErrorCount: Sendable {
    let value = Counter()
}

extension ShardCounters {
    /// Passes `body` what an endpoint has carried.
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

    /// Counts a publication that has come in.
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

    /// Counts an error that a client is told of.
    ///
    /// The owning thread only.
    package func failed(with code: ErrorCode) { codes[code.index].value.add(1) }

    /// How often clients were told of an error.
    package func errors(of code: ErrorCode) -> Int { codes[code.index].value.current }
}

extension ErrorCode {
    /// Its place among all.
    fileprivate var index: Int { Self.indices[self] ?? 0 }

    private static let indices = Dictionary(uniqueKeysWithValues: zip(allCases, 0...))
}
