/// One rule of the configuration: a condition, and the rights and limits for the clients that meet it.
package struct AccessRule: Sendable, Hashable {
    /// The clients that a rule applies to; all stated conditions must hold.
    package struct Condition: Sendable, Hashable {
        /// Applies to anonymous clients only.
        package var isAnonymous = false
        /// Applies to every authenticated client.
        package var isEveryone = false
        /// Applies to one user; `nil` if not stated.
        package var user: String?
        /// Applies to clients with this role; `nil` if not stated.
        package var role: String?
        /// Applies to clients whose address is in one of these networks; empty for any address.
        package var addresses: [AddressRange] = []
        /// `true` for clients of listeners on loopback or a Unix socket, `false` for all others; `nil` for both.
        package var isLocal: Bool?
        /// Applies to clients of one listener, by its address as configured; `nil` for all listeners.
        package var listener: String?

        package init() {}

        /// Whether a client meets the condition.
        package func applies(to subject: Subject) -> Bool {
            let principal = subject.principal
            let isAnonymous = principal.kind == .anonymous
            guard self.isAnonymous == isAnonymous else { return false }
            guard isAnonymous || isEveryone || user != nil || role != nil else { return false }
            if let user, principal.user.exact != user.exact { return false }
            if let role, !principal.roles.contains(role.exact) { return false }
            if let isLocal, subject.isLocal != isLocal { return false }
            if let listener, subject.listener != listener { return false }
            guard !addresses.isEmpty else { return true }
            guard let address = subject.address else { return false }
            return addresses.contains { $0.contains(address) }
        }
    }

    package var condition: Condition
    package var publish: [FilterTemplate] = []
    package var subscribe: [FilterTemplate] = []
    /// The filters of topics whose retained values may be set and deleted; `nil` if `publish` decides.
    package var retain: [FilterTemplate]?
    package var denyPublish: [FilterTemplate] = []
    package var denySubscribe: [FilterTemplate] = []
    /// The rights that the rule gives on `/admin`.
    package var admin: Set<AdminRight> = []
    /// The limits of each user that the rule applies to; they replace `limits.per_user`.
    package var limits = RuleLimits()

    package init(for condition: Condition = Condition()) { self.condition = condition }

    /// The rights that the rule gives and denies a client, whether or not the client meets the condition.
    func entries(for subject: Subject) -> [Grant.Entry] {
        var entries: [Grant.Entry] = []
        func add(_ templates: [FilterTemplate], _ rights: Rights, isDenial: Bool = false) {
            for template in templates {
                for filter in isDenial ? template.denied(for: subject) : template.filters(for: subject) {
                    entries.append(Grant.Entry(filter: filter, rights: rights))
                }
            }
        }
        add(publish, retain == nil ? [.publish, .retain] : .publish)
        if let retain { add(retain, .retain) }
        add(subscribe, .subscribe)
        add(denyPublish, .noPublish, isDenial: true)
        add(denySubscribe, .noSubscribe, isDenial: true)
        return entries
    }

    /// The placeholders in all filters of the rule.
    var placeholders: Set<FilterTemplate.Placeholder> {
        let all = publish + subscribe + (retain ?? []) + denyPublish + denySubscribe
        return all.reduce(into: []) { $0.formUnion($1.placeholders) }
    }
}

/// The limits of one user that a rule sets; `nil` for a limit that it does not set.
package struct RuleLimits: Sendable, Hashable {
    /// A limit: a number, or unlimited.
    package enum Amount: Sendable, Hashable, Comparable {
        case most(Int)
        case unlimited

        /// The number; `nil` if unlimited.
        var most: Int? { if case .most(let most) = self { most } else { nil } }
    }

    package var connections: Amount?
    /// Publications and payload bytes a second.
    package var publishRate: Amount?
    package var publishBytes: Amount?
    package var subscriptions: Amount?

    package init() {}

    /// Whether no limit is set.
    package var isEmpty: Bool { self == Self() }

    /// Whether a limit on publishing is set.
    package var metersPublishing: Bool { publishRate != nil || publishBytes != nil }

    /// Both sets of limits combined: the more generous one of each, so that no rule reduces what another one gives.
    func joined(with other: Self) -> Self {
        func larger(_ path: KeyPath<Self, Amount?>) -> Amount? {
            switch (self[keyPath: path], other[keyPath: path]) {
            case (let one?, let two?): max(one, two)
            case (let one, let two): one ?? two
            }
        }
        var joined = Self()
        joined.connections = larger(\.connections)
        joined.publishRate = larger(\.publishRate)
        joined.publishBytes = larger(\.publishBytes)
        joined.subscriptions = larger(\.subscriptions)
        return joined
    }
}
