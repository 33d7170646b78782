package import WSTransport

/// A ban of a user, a token or a network.
package struct Ban: Sendable {
    /// The user, token or network that a ban is about.
    package struct Subject: Sendable, Hashable, CustomStringConvertible {
        package enum Kind: String, Sendable, CaseIterable {
            case user
            /// A token by its id, or a JSON Web Token by its `jti`.
            case token
            /// An address or a network.
            case address
        }

        package let kind: Kind
        package let name: String
        let range: AddressRange?

        /// The longest name, in bytes.
        package static let maximumName = 256

        /// Creates a subject; `nil` if the name is not valid for the kind.
        package init?(_ kind: Kind, _ name: String) {
            guard 1...Self.maximumName ~= name.utf8.count else { return nil }
            self.kind = kind
            range = kind == .address ? AddressRange(name) : nil
            if kind == .address, range == nil { return nil }
            // A whole token, given by mistake, is reduced to its id, so that no secret is stored or shown.
            self.name = range?.description ?? (kind == .token ? OpaqueToken(name)?.id : nil) ?? name
        }

        /// The subject of a ban for one client: its user, else its address, which for IPv6 is the /64 network.
        ///
        /// `nil` if the client has no address, or a loopback address, which it shares with others.
        package init?(of principal: Principal, at peer: SocketAddress?) {
            if let user = principal.user {
                self.init(.user, user)
            } else if let peer, !peer.isLoopback, let network = peer.network {
                self.init(.address, network == peer.withoutPort ? network.host : "\(network.host)/64")
            } else {
                return nil
            }
        }

        package var description: String { "\(kind.rawValue) \(name)" }

        package static func == (left: Self, right: Self) -> Bool {
            guard left.kind == right.kind else { return false }
            return left.kind == .address ? left.range == right.range : left.name.utf8.elementsEqual(right.name.utf8)
        }

        package func hash(into hasher: inout Hasher) {
            hasher.combine(kind)
            if let range { hasher.combine(range) } else { hasher.combine(ExactText(name)) }
        }
    }

    /// A short id, unique in this process, or in its cluster.
    package let id: String
    package let subject: Subject
    /// When the ban ends; `nil` if it lasts until it is removed or the process ends.
    package let end: MonotonicTime?
    /// ``end`` in Unix milliseconds.
    package let expires: Int64?
    /// When the ban was added, in Unix milliseconds.
    package let added: Int64
    /// The reason, for people; empty if none was given.
    package let note: String

    fileprivate func holds(_ now: MonotonicTime) -> Bool { end.map { now < $0 } ?? true }
}

/// All bans, in force until the next change.
///
/// A value: each reactor has its own copy, and gets a new one in a letter.
package struct BanList: Sendable {
    /// Rises with each change of the list.
    package private(set) var version = 0
    private var bans: [Ban.Subject: Ban] = [:]
    /// How many banned networks there are of each prefix length.
    private var lengths: [Int: Int] = [:]
    private var networks: [AddressRange: Ban.Subject] = [:]

    /// Creates an empty list.
    package init() {}

    package var count: Int { bans.count }
    package var isEmpty: Bool { bans.isEmpty }
    /// Whether an address or a network is banned.
    package var hasAddresses: Bool { !networks.isEmpty }

    /// All bans, the oldest first.
    package var all: [Ban] {
        bans.values.sorted { ($0.added, $0.id.utf8.count, $0.id) < ($1.added, $1.id.utf8.count, $1.id) }
    }

    /// The ban that applies to a client; `nil` if none does.
    ///
    /// - Parameter host: the client's address, without the port; `nil` if it has none.
    package func ban(of principal: Principal, at host: @autoclosure () -> String?, now: MonotonicTime) -> Ban? {
        if isEmpty || principal.kind == .administrator { return nil }
        if let user = principal.user, let found = ban(.user, user, now) { return found }
        if let token = principal.token, let found = ban(.token, token, now) { return found }
        return ban(ofAddress: host(), now: now)
    }

    private func ban(_ kind: Ban.Subject.Kind, _ name: String, _ now: MonotonicTime) -> Ban? {
        guard let subject = Ban.Subject(kind, name), let ban = bans[subject], ban.holds(now) else { return nil }
        return ban
    }

    /// The ban that applies to an address, without the port; `nil` if none does.
    package func ban(ofAddress host: @autoclosure () -> String?, now: MonotonicTime) -> Ban? {
        guard hasAddresses, let text = host(), let bits = AddressRange.Bits(text) else { return nil }
        for length in lengths.keys {
            let network = AddressRange(bits.first(length), length: length)
            if let subject = networks[network], let ban = bans[subject], ban.holds(now) { return ban }
        }
        return nil
    }

    /// Adds a ban; it replaces the ban of the same subject.
    mutating func add(_ ban: Ban) {
        version += 1
        bans.updateValue(ban, forKey: ban.subject)
        guard let range = ban.subject.range, networks.updateValue(ban.subject, forKey: range) == nil else { return }
        lengths[range.length, default: 0] += 1
    }

    func contains(_ subject: Ban.Subject) -> Bool { bans[subject] != nil }

    /// The ban of a subject; `nil` if there is none.
    func ban(of subject: Ban.Subject) -> Ban? { bans[subject] }

    mutating func remove(where isMeant: (Ban) -> Bool) -> [Ban] {
        let removed = bans.values.filter(isMeant)
        for ban in removed {
            bans[ban.subject] = nil
            guard let range = ban.subject.range else { continue }
            networks[range] = nil
            let left = lengths[range.length, default: 1] - 1
            lengths[range.length] = left > 0 ? left : nil
        }
        if !removed.isEmpty { version += 1 }
        return removed
    }

    /// Removes the bans that have ended, and returns them.
    mutating func removeEnded(_ now: MonotonicTime) -> [Ban] { remove { !$0.holds(now) } }

    /// Whether any ban has an end.
    package var hasEnds: Bool { bans.values.contains { $0.end != nil } }
}

extension AddressRange {
    /// A network for look-ups, without a text.
    fileprivate init(_ bits: Bits, length: Int) {
        self.bits = bits
        self.length = length
        description = ""
    }
}
