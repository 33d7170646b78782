/// One rule of the configuration: for whom, and what it gives and takes away.
package struct AccessRule: Sendable, Hashable {
    /// For whom a rule is: each condition that is stated has to hold.
    package struct Condition: Sendable, Hashable {
        /// For anonymous clients, and for nobody else.
        package var isAnonymous = false
        /// For every principal that is not anonymous.
        package var isEveryone = false
        /// For one user.
        package var user: String?
        /// For those that have a role.
        package var role: String?
        /// For those that come from one of these networks; empty: from anywhere.
        package var addresses: [AddressRange] = []
        /// For those that came in by a listener on loopback or in the file system, or for all others; `nil`: for both.
        package var isLocal: Bool?
        /// For those that come in by one listener, as its address is configured.
        package var listener: String?

        package init() {}

        /// Whether a rule of this condition is for a client.
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
    /// Where retained values may be set and deleted; `nil`: where publishing is allowed.
    package var retain: [FilterTemplate]?
    package var denyPublish: [FilterTemplate] = []
    package var denySubscribe: [FilterTemplate] = []
    /// What it gives on `/admin`.
    package var admin: Set<AdminRight> = []
    /// What one user whom it is for may use up, in place of `limits.per_user`.
    package var limits = RuleLimits()

    package init(for condition: Condition = Condition()) { self.condition = condition }

    /// What it gives a client and takes away, whether it is for that one or not.
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

    /// The placeholders of all its filters.
    var placeholders: Set<FilterTemplate.Placeholder> {
        let all = publish + subscribe + (retain ?? []) + denyPublish + denySubscribe
        return all.reduce(into: []) { $0.formUnion($1.placeholders) }
    }
}

/// What one user may use up, where a rule says so; `nil`: it does not.
package struct RuleLimits: Sendable, Hashable {
    /// How much of something.
    package enum Amount: Sendable, Hashable, Comparable {
        case most(Int)
        case unlimited

        /// `nil`: unlimited.
        var most: Int? { if case .most(let most) = self { most } else { nil } }
    }

    package var connections: Amount?
    /// Publications a second, and the bytes of their payloads.
    package var publishRate: Amount?
    package var publishBytes: Amount?
    package var subscriptions: Amount?

    package init() {}

    /// Whether it says nothing.
    package var isEmpty: Bool { self == Self() }

    /// Whether it is about publishing.
    package var metersPublishing: Bool { publishRate != nil || publishBytes != nil }

    /// Both together, of each the more generous one: what a rule gives, no other takes away.
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
