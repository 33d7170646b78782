package import WSTransport

/// One connected client: who it is, for administrators and for messages' origins, and what it may do.
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
    /// Where it comes from, as it says; `nil`: it has not said it.
    package var source: ClientSource?
    // Each publication counts one: it is one step.
    @exclusivity(unchecked) private var publications = 0
    /// The listener's address, as it is configured; empty: the administrator's socket.
    package let listener: String
    /// Unix milliseconds.
    package let connectedAt: Int64
    private var bucket = RateLimit()
    // Where the one before leaves room for them.
    private let isLocal: Bool
    let endpoint: ClientEndpoint
    /// Its part of what its address and its user have; `nil`: it counts for none.
    var membership: Membership?
    // Each publication looks at it, and the look would be checked for a change that is under way: it is one step.
    @exclusivity(unchecked) private var box: GrantBox
    /// The topic of the last publication, and what was found for it.
    private var lastTopic: Topic?
    private var lastRights: Rights = []
    /// Whether its subscriptions are still to be looked at, since the rules have changed.
    var isUnreviewed = false
    /// Whether a proxy says what its address is.
    package var isForwarded: Bool {
        get { isOfProxy }
        set { isOfProxy = newValue }
    }
    private var isOfProxy = false
    /// Whether its credentials have another end than the one that is waited for.
    private var hasOtherEnd = false

    /// - Parameters:
    ///   - isLocal: whether it came in by a listener on loopback or in the file system.
    ///   - grants: of the reactor that it belongs to.
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

    /// How rules would see it as somebody else.
    package func subject(as principal: Principal) -> Subject {
        Subject(principal, address: host, listener: listener, isLocal: isLocal, client: name)
    }

    /// Its name in texts: the number in base 36.
    package var name: String { Self.name(id) }

    /// The name of a client with this number.
    package static func name(_ id: UInt64) -> String {
        // By hand: each client that comes and goes is named, and `String(_:radix:)` costs several times as much.
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

    /// The number of the client that has this name; `nil`: it is no client's.
    package static func number(named name: String) -> UInt64? {
        UInt64(name, radix: 36).flatMap { Self.name($0) == name ? $0 : nil }
    }

    /// The address without the port; `nil`: it has none.
    package var host: String? { Self.host(of: address) }

    /// The client as the rules see it.
    package var subject: Subject {
        Subject(
            principal, address: Self.host(of: address), listener: listener, isLocal: isLocal, client: Self.name(id))
    }

    /// An address without its port; `nil`: it is none of the internet.
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

    /// How many publications of it were taken.
    package var published: Int { unsafe publications }

    /// One more publication was taken.
    @inline(__always)
    func countPublication() { unsafe publications &+= 1 }

    /// Takes over what another client has left of its rate: both are one connection's.
    func takeOverRate(of other: Client) { bucket = other.bucket }

    // MARK: Rights

    /// Whether it may publish, and set retained values, wherever anybody may, by the rules that hold now.
    var publishesAnywhere: Bool { unsafe box.publishesAnywhere }

    /// Whether it has all these rights for a topic, by the rules that hold now.
    func has(_ rights: Rights, for topic: Topic, _ grants: GrantTable) -> Bool {
        if unsafe box.publishesAnywhere { return true }
        // Most publish again to the topic that they published to before.
        if unsafe box.isCurrent, lastRights.isSuperset(of: rights), let lastTopic, lastTopic.name.isSame(as: topic.name)
        {
            return true
        }
        return looks(whether: rights, topic, grants)
    }

    /// Whether it may publish to a topic, by the rules that hold now.
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

    /// Whether it may subscribe to a filter, by the rules that hold now.
    func verdict(on filter: TopicFilter, _ grants: GrantTable) -> Grant.Verdict {
        renew(grants)
        return unsafe box.grant.verdict(on: filter)
    }

    /// Whether it may do anything at all, by the rules that hold now.
    package func mayNothing(_ grants: GrantTable) -> Bool {
        renew(grants)
        return unsafe box.grant.isNothing
    }

    /// Itself as the rules see it, and what it may do by those that hold now.
    func standing(_ grants: GrantTable) -> (Subject, Grant) {
        renew(grants)
        let subject = Subject(principal, address: host, listener: listener, isLocal: isLocal, client: name)
        return unsafe (subject, box.grant)
    }

    /// The limits that its rules have; `nil`: none.
    func limits(_ grants: GrantTable) -> RuleLimits? {
        renew(grants)
        return unsafe box.grant.limits
    }

    private var isEnded = false

    /// Whether its credentials do not hold any more.
    func hasEnded(_ grants: GrantTable) -> Bool {
        renew(grants)
        return isEnded
    }

    /// Whether a change has given its credentials another end since this was last asked.
    func takesOtherEnd() -> Bool {
        defer { hasOtherEnd = false }
        return hasOtherEnd
    }

    /// Goes on as somebody else, or as the same with other credentials.
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

/// The numbers of one shard's clients, which no other client of any shard has.
///
/// The lowest byte says which shard it is, so that one that is named is found without asking all of them.
struct ClientNumbers {
    /// The most shards that a broker may have.
    static let maximumShards = 256

    private var last: UInt64

    /// - Parameter base: what they begin after, a multiple of 256; `nil`: a number of the time, so that they do not repeat after
    ///   a restart, as far as a log reader is concerned.
    init(shard: Int, from base: UInt64? = nil) {
        last =
            (base ?? UInt64(truncatingIfNeeded: WallClock.unixMilliseconds) << 20) | UInt64(shard % Self.maximumShards)
    }

    /// One that was never given.
    mutating func next() -> UInt64 {
        last += UInt64(Self.maximumShards)
        return last
    }

    /// The index of the shard that a client is on.
    static func shard(of number: UInt64) -> Int { Int(number % UInt64(maximumShards)) }
}

/// A rate limit, which saves up for at most one second.
package struct RateLimit {
    private var tokens = 0.0
    private var last: MonotonicTime?

    package init() {}

    /// Takes one, if there is one.
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
