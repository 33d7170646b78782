package import WSTransport

/// What fan-out knows of one subscription: the tree's entry.
package struct Subscriber: TreeEntry {
    package let subscription: UInt32
    /// The connection's place in the reactor's tables.
    package let slot: UInt32
    package let form: WireForm
    /// Does not get what its own connection published.
    package let isDeaf: Bool
}

/// One subscription of a session.
package struct Subscription {
    package let number: UInt32
    package let filter: TopicFilter
    /// Messages after this one are due to it.
    let position: UInt64
    /// Does not get what its own connection published.
    let isDeaf: Bool
}

/// One connected client in its protocol.
///
/// Runs on its reactor's thread.
package protocol Session: AnyObject {
    var client: Client { get }
    var stream: StreamConnection { get }
    var form: WireForm { get }
    /// What it subscribes to, and what is under way for it.
    var subscriptions: SubscriptionSet { get }
    /// The round-trip time of the last PING, in nanoseconds; `nil`: not known.
    var roundTrip: Int64? { get }

    /// Sends a retained value of a snapshot.
    func sendSnapshot(_ message: Message)

    /// Sends the marker that ends the retained part.
    func sendLive(_ filter: TopicFilter, seq: UInt64)

    /// Ends it because it does not take what it is sent.
    func closeSlow(_ reason: String)

    /// Ends it with a close code and a reason.
    func disconnect(_ code: CloseCode, reason: String)
}

/// The subscriptions of one session and the snapshots under way for them.
package final class SubscriptionSet {
    package private(set) var all: [Subscription] = []
    /// Snapshots not yet sent, oldest first.
    ///
    /// While there are any, live messages are held.
    var snapshots: [Snapshot] = []
    private(set) var held: [Message] = []
    private(set) var heldBytes = 0
    /// Whether live messages are held back until the snapshots are out.
    var isHolding = false
    /// Whether the session has asked to be called again for its snapshots.
    var isWaiting = false

    package init() {}

    package var count: Int { all.count }

    package func subscription(at filter: TopicFilter) -> Subscription? { all.first { $0.filter == filter } }

    func add(_ subscription: Subscription) { all.append(subscription) }

    func remove(_ filter: TopicFilter) -> Subscription? {
        guard let index = all.firstIndex(where: { $0.filter == filter }) else { return nil }
        snapshots.removeAll { $0.filter == filter }
        return all.remove(at: index)
    }

    func removeAll() -> [Subscription] {
        defer {
            all = []
            snapshots = []
            held = []
            heldBytes = 0
        }
        return all
    }

    func hold(_ message: Message) {
        held.append(message)
        heldBytes += Self.size(message)
    }

    /// Takes the held messages up to `seq`.
    func takeHeld(upTo seq: UInt64) -> [Message] {
        let taken = Array(held.prefix { $0.seq <= seq })
        held.removeFirst(taken.count)
        heldBytes -= taken.reduce(0) { $0 + Self.size($1) }
        return taken
    }

    /// Drops held messages that no subscription asks for any more.
    ///
    /// - Parameter client: the session's own.
    func dropUnwanted(by client: UInt64) {
        held.removeAll { message in
            let isWanted = all.contains {
                message.seq > $0.position && $0.filter.matches(message.topic)
                    && !($0.isDeaf && message.origin == client)
            }
            if !isWanted { heldBytes -= Self.size(message) }
            return !isWanted
        }
    }

    private static func size(_ message: Message) -> Int {
        message.payload.count + message.topic.name.utf8.count + 64
    }
}
