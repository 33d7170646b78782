/// All rules of the configuration, in force until the next change.
///
/// Immutable; shared by all reactors.
package final class AccessRules: Sendable {
    package let rules: [AccessRule]
    /// The attributes of a client that the rules depend on, besides user, roles and token.
    let uses: Uses

    struct Uses: Sendable, Equatable {
        var claims: Set<ExactText> = []
        var client = false
        var address = false
        var listener = false
        var isLocal = false
    }

    /// Whether any rule sets limits.
    package let hasLimits: Bool

    package init(_ rules: [AccessRule]) {
        self.rules = rules
        hasLimits = rules.contains { !$0.limits.isEmpty }
        var uses = Uses()
        for rule in rules {
            if !rule.condition.addresses.isEmpty { uses.address = true }
            if rule.condition.listener != nil { uses.listener = true }
            if rule.condition.isLocal != nil { uses.isLocal = true }
            for placeholder in rule.placeholders {
                switch placeholder {
                case .user: break
                case .client: uses.client = true
                case .address: uses.address = true
                case .claim(let path): uses.claims.insert(path)
                }
            }
        }
        self.uses = uses
    }

    /// The indices of the rules that apply to a client.
    package func applying(to subject: Subject) -> [Int] {
        rules.indices.filter { rules[$0].condition.applies(to: subject) }
    }

    /// The rights of a client.
    package func grant(for subject: Subject) -> Grant {
        let principal = subject.principal
        if principal.kind == .administrator { return .everything }
        var entries = principal.carried?.entries(for: subject) ?? []
        for rule in rules where rule.condition.applies(to: subject) { entries += rule.entries(for: subject) }
        return Grant(
            entries, ceilings: principal.ceilings.map { Grant($0.entries(for: subject)) }, limits: limits(for: subject))
    }

    /// The limits of a client's user; `nil` if no rule sets any.
    package func limits(for subject: Subject) -> RuleLimits? {
        guard hasLimits else { return nil }
        let found = rules.reduce(RuleLimits()) { found, rule in
            rule.limits.isEmpty || !rule.condition.applies(to: subject) ? found : found.joined(with: rule.limits)
        }
        return found.isEmpty ? nil : found
    }
}

/// The grants of one reactor's clients: one box for all clients that the rules treat alike.
///
/// Runs on its reactor's thread.
package final class GrantTable {
    /// The attributes of a client that the rules depend on; tokens of one user share a box if they carry equal rights.
    private struct Key: Hashable {
        let kind: Principal.Kind
        let user: ExactText?
        let roles: Set<ExactText>
        let claims: [ExactText: [ExactText]]
        let carried: AccessRule?
        let ceilings: [AccessRule]
        let address: String?
        let listener: String?
        let isLocal: Bool?
        let client: String?
    }

    /// The access data in force.
    package var access: Access { present }
    private var present: Access
    private var rules: AccessRules { access.rules }
    private var boxes: [Key: GrantBox] = [:]
    /// The box of the last look-up: most clients are anonymous, or connect in groups of equal ones.
    private var last: (principal: Principal, isLocal: Bool, box: GrantBox)?
    /// The number of boxes at which unused ones are removed.
    private var sweepAt = 64

    package init(_ access: Access) { present = access }

    /// How many boxes there are, including those that no client uses any more.
    package var count: Int { boxes.count }

    /// The box of a client, shared with all clients that have the same rights.
    ///
    /// - Parameters:
    ///   - isLocal: whether the client connected over loopback or a Unix socket.
    ///   - subject: the client as the rules see it, with the same principal; called only if it is needed.
    package func box(for principal: Principal, isLocal: Bool = true, _ subject: () -> Subject) -> GrantBox {
        if let last, last.principal === principal, last.isLocal == isLocal { return last.box }
        let (subject, uses) = (subject(), rules.uses)
        let key = Key(
            kind: principal.kind, user: principal.user.exact, roles: principal.roles,
            claims: uses.claims.isEmpty ? [:] : principal.claims.filter { uses.claims.contains($0.key) }.exact,
            carried: principal.carried, ceilings: principal.ceilings,
            address: uses.address ? subject.address : nil, listener: uses.listener ? subject.listener : nil,
            isLocal: uses.isLocal ? subject.isLocal : nil,
            client: uses.client ? subject.client : nil)
        let box: GrantBox
        if let known = boxes[key] {
            box = known
        } else {
            if boxes.count >= sweepAt { sweep() }
            box = GrantBox(rules.grant(for: subject))
            boxes[key] = box
        }
        if !uses.client, !uses.address, !uses.listener { last = (principal, isLocal, box) }
        return box
    }

    private func sweep() {
        last = nil
        var unused: [Key] = []
        // A closure, or a copy of the values, would hold another reference to each box.
        var index = boxes.startIndex
        while index != boxes.endIndex {
            if isKnownUniquelyReferenced(&boxes.values[index]) { unused.append(boxes[index].key) }
            boxes.formIndex(after: &index)
        }
        for key in unused { boxes[key] = nil }
        sweepAt = max(64, 2 * boxes.count)
    }

    /// Replaces the access data; every box that was given out is marked out of date.
    package func adopt(_ access: Access) {
        present = access
        for box in boxes.values { box.expire() }
        boxes = [:]
        last = nil
    }
}

extension GrantBox {
    /// A box without rights, for a client whose access has ended, until it is disconnected.
    package static func ended() -> GrantBox { GrantBox(.nothing) }
}

/// A grant, shared by the clients of one reactor that may do the same.
///
/// Runs on its reactor's thread.
package final class GrantBox {
    package let grant: Grant
    // Each publication reads these two; without the checks of exclusive access, a read is one instruction.
    /// Whether the rules that the grant was made from are still in force.
    @exclusivity(unchecked) package private(set) var isCurrent = true
    /// ``Grant/publishesAnywhere``, while the grant is current: no topic has to be checked.
    @exclusivity(unchecked) package private(set) var publishesAnywhere: Bool

    init(_ grant: Grant) {
        self.grant = grant
        unsafe publishesAnywhere = grant.publishesAnywhere
    }

    /// See ``Grant/mayPublish(to:)``.
    package func mayPublish(to topic: Topic) -> Bool { grant.publishing(to: topic).contains(.publish) }

    /// See ``Grant/verdict(on:)``.
    package func verdict(on filter: TopicFilter) -> Grant.Verdict { grant.verdict(on: filter) }

    fileprivate func expire() {
        unsafe isCurrent = false
        unsafe publishesAnywhere = false
    }
}
