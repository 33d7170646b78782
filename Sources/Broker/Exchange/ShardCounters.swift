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
    /// Gaps announced.
    package let gaps = Counter()

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
