package import WSTransport

/// One connected client: its identity, for administrators and as the origin of messages, and its rights.
///
/// Runs on its reactor's thread.
package final class Client {
    /// Unique in this process, never 0.
    package let id: UInt64
    package var principal: Principal { present }
    private var present: Principal
    package let address: String
    /// Its protocol, such as `broker.v1.json`, `topic`, `events`.
    package var protocolName: String { endpoint.protocolName }
    /// The web page and the program, as the client states them; `nil` if it states neither.
    package var source: ClientSource?
    // Unchecked, because it changes in one step, once for each publication.
    @exclusivity(unchecked) private var publications = 0
    /// The listener's address, as it is configured; empty for the administrator's socket.
    package let listener: String
    /// Unix milliseconds.
    package let connectedAt: Int64
    private var bucket = RateLimit()
    // Small fields, in the padding after `bucket`.
    private let isLocal: Bool
    let endpoint: ClientEndpoint
    /// Its share of the quotas of its address and its user; `nil` if it counts for neither.
    var membership: Membership?
    // Unchecked, because each publication reads it, and nothing is called while it changes.
    @exclusivity(unchecked) private var box: GrantBox
    /// The topic of the last publication, and the client's rights for it.
    private var lastTopic: Topic?
    private var lastRights: Rights = []
    /// Whether its subscriptions are still to be reviewed, because the rules have changed.
    var isUnreviewed = false
    /// Whether a proxy has named its address.
    package var isForwarded: Bool {
        get { isOfProxy }
        set { isOfProxy = newValue }
    }
    private var isOfProxy = false
    /// Whether its credentials have a new time of expiry, for which no alarm is set yet.
    private var hasOtherEnd = false

    /// - Parameters:
    ///   - isLocal: whether its listener is on loopback or in the file system.
    ///   - grants: those of its reactor.
    package init(
        id: UInt64, _ principal: Principal, address: String, listener: String, isLocal: Bool = true,
        protocolName: String, connectedAt: Int64, _ grants: GrantTable
    ) {
        self.id = id
        present = principal
        self.address = address
        self.listener = listener
        self.isLocal = isLocal
        endpoint = ClientEndpoint(protocolName: protocolName)
        self.connectedAt = connectedAt
        unsafe box = grants.box(for: principal, isLocal: isLocal) {
            Subject(
                principal, address: Self.host(of: address), listener: listener, isLocal: isLocal,
                client: Self.name(id))
        }
    }

    /// The client as the rules would see it with another principal.
    package func subject(as principal: Principal) -> Subject {
        Subject(principal, address: host, listener: listener, isLocal: isLocal, client: name)
    }

    /// Its name in texts: its number in base 36.
    package var name: String { Self.name(id) }

    /// The name of a client with this number.
    package static func name(_ id: UInt64) -> String {
        // Written by hand, because every client is named, and `String(_:radix:)` costs several times as much.
        unsafe String(unsafeUninitializedCapacity: 13) { digits in
            var (rest, count) = (id, 0)
            repeat {
                let digit = UInt8(truncatingIfNeeded: rest % 36)
                rest /= 36
                count += 1
                unsafe digits[13 - count] = digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
            } while rest > 0
            for place in 0..<count { unsafe digits[place] = digits[13 - count + place] }
            return count
        }
    }

    /// The number of the client with this name; `nil` if the name is not one that ``name(_:)`` makes.
    package static func number(named name: String) -> UInt64? {
        UInt64(name, radix: 36).flatMap { Self.name($0) == name ? $0 : nil }
    }

    /// The address without the port; `nil` if it is not an Internet address.
    package var host: String? { Self.host(of: address) }

    /// The client as the rules see it.
    package var subject: Subject {
        Subject(
            principal, address: Self.host(of: address), listener: listener, isLocal: isLocal, client: Self.name(id))
    }

    /// An address without its port; `nil` if it is not an Internet address.
    private static func host(of address: String) -> String? {
        guard !address.hasPrefix("unix"), let colon = address.utf8.lastIndex(of: UInt8(ascii: ":")) else { return nil }
        let host = address[..<colon]
        return host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : String(host)
    }

    /// Whether one more publication is within the present rate; `nil`: unlimited.
    package func mayPublish(perSecond rate: Int?, now: @autoclosure () -> MonotonicTime) -> Bool {
        guard let rate else { return true }
        return bucket.take(perSecond: rate, now: now())
    }

    /// How many of its publications have passed the checks.
    package var published: Int { unsafe publications }

    /// Counts a publication that has passed the checks.
    @inline(__always)
    func countPublication() { unsafe publications &+= 1 }

    /// Takes over the remaining rate of another client of the same connection.
    func takeOverRate(of other: Client) { bucket = other.bucket }

    // MARK: Rights

    /// Whether it may publish and set retained values on every topic where any client may, by the current rules.
    var publishesAnywhere: Bool { unsafe box.publishesAnywhere }

    /// Whether it has all these rights for a topic, by the current rules.
    func has(_ rights: Rights, for topic: Topic, _ grants: GrantTable) -> Bool {
        if unsafe box.publishesAnywhere { return true }
        // Most clients publish to the same topic again.
        if unsafe box.isCurrent, lastRights.isSuperset(of: rights), let lastTopic, lastTopic.name.isSame(as: topic.name)
        {
            return true
        }
        return looks(whether: rights, topic, grants)
    }

    /// Whether it may publish to a topic, by the current rules.
    package func mayPublish(to topic: Topic, _ grants: GrantTable) -> Bool { has(.publish, for: topic, grants) }

    @inline(never)
    private func looks(whether rights: Rights, _ topic: Topic, _ grants: GrantTable) -> Bool {
        renew(grants)
        if unsafe box.publishesAnywhere { return true }
        if let lastTopic, lastTopic == topic { return lastRights.isSuperset(of: rights) }
        lastTopic = topic
        lastRights = unsafe box.grant.publishing(to: topic)
        return lastRights.isSuperset(of: rights)
    }

    /// Whether it may subscribe to a filter, by the current rules.
    func verdict(on filter: TopicFilter, _ grants: GrantTable) -> Grant.Verdict {
        renew(grants)
        return unsafe box.grant.verdict(on: filter)
    }

    /// Whether it may do nothing at all, by the current rules.
    package func mayNothing(_ grants: GrantTable) -> Bool {
        renew(grants)
        return unsafe box.grant.isNothing
    }

    /// The client as the rules see it, and its rights by the current rules.
    func standing(_ grants: GrantTable) -> (Subject, Grant) {
        renew(grants)
        let subject = Subject(principal, address: host, listener: listener, isLocal: isLocal, client: name)
        return unsafe (subject, box.grant)
    }

    /// The limits that its rules set; `nil` if they set none.
    func limits(_ grants: GrantTable) -> RuleLimits? {
        renew(grants)
        return unsafe box.grant.limits
    }

    private var isEnded = false

    /// Whether its credentials are no longer valid.
    func hasEnded(_ grants: GrantTable) -> Bool {
        renew(grants)
        return isEnded
    }

    /// Whether its credentials have got a new time of expiry since the last call.
    func takesOtherEnd() -> Bool {
        defer { hasOtherEnd = false }
        return hasOtherEnd
    }

    /// Continues with another principal, or with new credentials of the same one.
    package func become(_ principal: Principal, _ grants: GrantTable) {
        present = principal
        isEnded = false
        takeBox(grants)
    }

    private func renew(_ grants: GrantTable) {
        guard unsafe !box.isCurrent else { return }
        switch grants.access.renewal(
            of: principal, from: { Self.host(of: address) }, now: WallClock.unixMilliseconds / 1000)
        {
        case .same: takeBox(grants)
        case .changed(let new):
            if new.expires != principal.expires { hasOtherEnd = true }
            become(new, grants)
        case .ended:
            isEnded = true
            unsafe box = .ended()
            lastTopic = nil
        }
    }

    private func takeBox(_ grants: GrantTable) {
        unsafe box = grants.box(for: principal, isLocal: isLocal) { subject }
        lastTopic = nil
    }
}

/// The client numbers of one shard, which no client of another shard has.
///
/// The lowest byte is the shard's index, so that the shard of a number is known without asking all of them.
struct ClientNumbers {
    /// The most shards that a broker may have.
    static let maximumShards = 256

    private var last: UInt64

    /// - Parameter base: numbers begin after this one, a multiple of 256; `nil`: after one that is made from the time,
    ///   so that a reader of logs does not meet a number again after a restart.
    init(shard: Int, from base: UInt64? = nil) {
        last =
            (base ?? UInt64(truncatingIfNeeded: WallClock.unixMilliseconds) << 20) | UInt64(shard % Self.maximumShards)
    }

    /// Returns a number that was never given.
    mutating func next() -> UInt64 {
        last += UInt64(Self.maximumShards)
        return last
    }

    /// The index of the shard that a client is on.
    static func shard(of number: UInt64) -> Int { Int(number % UInt64(maximumShards)) }
}

/// A rate limit, which saves up permits for at most one second.
package struct RateLimit {
    private var tokens = 0.0
    private var last: MonotonicTime?

    package init() {}

    /// Takes one permit, if there is one.
    ///
    /// - Parameter rate: the number earned a second, which is also the maximum saved; it may change between calls.
    package mutating func take(perSecond rate: Int, now: MonotonicTime) -> Bool {
        let most = Double(max(0, rate))
        let earned = last.map { max(0, Double(now.nanoseconds(since: $0)) / 1e9 * most) }
        tokens = min(most, tokens + (earned ?? most))
        last = now
        guard tokens >= 1 else { return false }
        tokens -= 1
        return true
    }
}
