package import WSTransport

/// A user, a token or a network that is shut out for a time.
package struct Ban: Sendable {
    /// What is shut out.
    package struct Subject: Sendable, Hashable, CustomStringConvertible {
        package enum Kind: String, Sendable, CaseIterable {
            case user
            /// By the id of a token, or the `jti` of a JSON Web Token.
            case token
            /// Or a network.
            case address
        }

        package let kind: Kind
        package let name: String
        let range: AddressRange?

        /// The longest name, in bytes.
        package static let maximumName = 256

        /// `nil`: that is no name of the kind.
        package init?(_ kind: Kind, _ name: String) {
            guard 1...Self.maximumName ~= name.utf8.count else { return nil }
            self.kind = kind
            range = kind == .address ? AddressRange(name) : nil
            if kind == .address, range == nil { return nil }
            // One that shows a token by mistake means its id.
            self.name = range?.description ?? (kind == .token ? OpaqueToken(name)?.id : nil) ?? name
        }

        /// What of a client is shut out by itself: its user, else its address, of IPv6 the network of 64 bits.
        ///
        /// `nil`: nothing, as it has no address, or one of this machine, where others would be shut out with it.
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

    /// Short, and of no other ban of this process.
    package let id: String
    package let subject: Subject
    /// `nil`: it ends when it is removed, or with the process.
    package let end: MonotonicTime?
    /// The same in Unix milliseconds.
    package let expires: Int64?
    /// Unix milliseconds.
    package let added: Int64
    /// Why, for people; empty: it is not said.
    package let note: String

    fileprivate func holds(_ now: MonotonicTime) -> Bool { end.map { now < $0 } ?? true }
}

/// All bans, as they hold from one moment to the next change.
///
/// A value: each reactor has its own, and gets another by letter.
package struct BanList: Sendable {
    /// Rises with each change.
    package private(set) var version = 0
    private var bans: [Ban.Subject: Ban] = [:]
    /// How many there are of each length, of the bits of a network.
    private var lengths: [Int: Int] = [:]
    private var networks: [AddressRange: Ban.Subject] = [:]

    /// None.
    package init() {}

    package var count: Int { bans.count }
    package var isEmpty: Bool { bans.isEmpty }
    /// Whether there are any of addresses.
    package var hasAddresses: Bool { !networks.isEmpty }

    /// All of them, the oldest first.
    package var all: [Ban] { bans.values.sorted { ($0.added, $0.id) < ($1.added, $1.id) } }

    /// The ban that shuts a client out; `nil`: none does.
    ///
    /// - Parameter host: its address, without the port; `nil`: it has none.
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

    /// The ban of an address, without the port; `nil`: there is none.
    package func ban(ofAddress host: @autoclosure () -> String?, now: MonotonicTime) -> Ban? {
        guard hasAddresses, let text = host(), let bits = AddressRange.Bits(text) else { return nil }
        for length in lengths.keys {
            let network = AddressRange(bits.first(length), length: length)
            if let subject = networks[network], let ban = bans[subject], ban.holds(now) { return ban }
        }
        return nil
    }

    /// Adds one, in the place of another of the same subject.
    mutating func add(_ ban: Ban) {
        version += 1
        bans.updateValue(ban, forKey: ban.subject)
        guard let range = ban.subject.range, networks.updateValue(ban.subject, forKey: range) == nil else { return }
        lengths[range.length, default: 0] += 1
    }

    func contains(_ subject: Ban.Subject) -> Bool { bans[subject] != nil }

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

    /// Those that have ended.
    mutating func removeEnded(_ now: MonotonicTime) -> [Ban] { remove { !$0.holds(now) } }

    /// Whether one will end by itself.
    package var hasEnds: Bool { bans.values.contains { $0.end != nil } }
}

extension AddressRange {
    /// What is not shown to anybody.
    fileprivate init(_ bits: Bits, length: Int) {
        self.bits = bits
        self.length = length
        description = ""
    }
}
