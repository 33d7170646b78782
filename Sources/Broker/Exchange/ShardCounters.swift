package import WSTransport

/// The counters of one reactor's part of the broker; written on its thread, read on any.
package final class ShardCounters: Sendable {
    /// Present clients and subscriptions.
    package let clients = Counter()
    package let subscriptions = Counter()
    package let published = Counter()
    package let publishedBytes = Counter()
    package let refusedPublishes = Counter()
    package let rateLimited = Counter()
    package let subscriptionLimit = Counter()
    /// Turns whose publishers had to wait for other reactors.
    package let congestions = Counter()
    package let errors = Counter()
    /// What was refused for want of a right: publications, subscriptions and reads, changes of retained values.
    package let deniedPublishes = Counter()
    package let deniedSubscribes = Counter()
    package let deniedRetains = Counter()
    /// Subscriptions that ended because their right was taken away.
    package let revoked = Counter()
    /// Frames whose commands took more than one turn.
    package let heldFrames = Counter()
    /// Turns in which not all clients that were behind had a piece of what is due to them.
    package let fullTurns = Counter()
    /// Requests of refused pages, and those for a host that the broker does not answer to.
    package let refusedOrigins = Counter()
    package let refusedHosts = Counter()
    /// Nodes of filters with wildcards that were visited to find a message's subscribers.
    package let matchedNodes = Counter()
    /// Live messages handed to connections, and retained values sent in snapshots.
    package let delivered = Counter()
    package let snapshots = Counter()
    /// Messages sent from the history.
    package let replayed = Counter()
    /// Times a connection did not take what it was sent and fell behind.
    package let fallsBehind = Counter()
    /// Messages dropped because a reader was too slow, by its own policy.
    package let dropped = Counter()
    /// Gaps announced.
    package let gaps = Counter()

    package init() {}
}
