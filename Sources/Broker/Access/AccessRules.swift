/// All rules, as they hold from one moment to the next change.
///
/// Immutable; shared by all reactors.
package final class AccessRules: Sendable {
    package let rules: [AccessRule]
    /// What of a principal the rules go by, besides user, roles and token.
    let uses: Uses

    struct Uses: Sendable, Equatable {
        var claims: Set<ExactText> = []
        var client = false
        var address = false
        var listener = false
        var isLocal = false
    }

    /// Whether any of them has limits.
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

    /// The rules that apply to a client, by their numbers.
    package func applying(to subject: Subject) -> [Int] {
        rules.indices.filter { rules[$0].condition.applies(to: subject) }
    }

    /// What a client may do.
    package func grant(for subject: Subject) -> Grant {
        let principal = subject.principal
        if principal.kind == .administrator { return .everything }
        var entries = principal.carried?.entries(for: subject) ?? []
        for rule in rules where rule.condition.applies(to: subject) { entries += rule.entries(for: subject) }
        return Grant(
            entries, ceilings: principal.ceilings.map { Grant($0.entries(for: subject)) }, limits: limits(for: subject))
    }

    /// What a client's user may use up; `nil`: no rule says.
    package func limits(for subject: Subject) -> RuleLimits? {
        guard hasLimits else { return nil }
        let found = rules.reduce(RuleLimits()) { found, rule in
            rule.limits.isEmpty || !rule.condition.applies(to: subject) ? found : found.joined(with: rule.limits)
        }
        return found.isEmpty ? nil : found
    }
}

/// The grants of one reactor's clients: one box for each distinct principal, as far as the rules tell them apart.
///
/// Runs on its reactor's thread.
package final class GrantTable {
    /// What the rules go by of a principal; tokens of one user share a box, if they carry the same.
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

    /// What holds now.
    package var access: Access { present }
    private var present: Access
    private var rules: AccessRules { access.rules }
    private var boxes: [Key: GrantBox] = [:]
    /// The box that was asked for last, as most clients are anonymous or come in crowds.
    private var last: (principal: Principal, isLocal: Bool, box: GrantBox)?
    /// When there are so many, those that no client has any more are let go.
    private var sweepAt = 64

    package init(_ access: Access) { present = access }

    /// How many there are, those that no client has any more among them.
    package var count: Int { boxes.count }

    /// The box of a client, which others that may do the same have, too.
    ///
    /// - Parameters:
    ///   - isLocal: whether it came in by loopback or the file system.
    ///   - subject: the client as the rules see it, of the same principal; it is made only where it is needed.
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
        // A closure, or a copy of the values, would be another reference to each of them.
        var index = boxes.startIndex
        while index != boxes.endIndex {
            if isKnownUniquelyReferenced(&boxes.values[index]) { unused.append(boxes[index].key) }
            boxes.formIndex(after: &index)
        }
        for key in unused { boxes[key] = nil }
        sweepAt = max(64, 2 * boxes.count)
    }

    /// Takes over what holds from here on: every box that was given out is out of date, and says so.
    package func adopt(_ access: Access) {
        present = access
        for box in boxes.values { box.expire() }
        boxes = [:]
        last = nil
    }
}

extension GrantBox {
    /// Of those that may not be here any more, until they are gone.
    package static func ended() -> GrantBox { GrantBox(.nothing) }
}

/// A grant, shared by the clients of one reactor that may do the same.
///
/// Runs on its reactor's thread.
package final class GrantBox {
    package let grant: Grant
    // Each publication looks at these, and each look would be checked for a change that is under way: it is one step.
    /// Whether the rules are still those that it was made of.
    @exclusivity(unchecked) package private(set) var isCurrent = true
    /// ``Grant/publishesAnywhere``, and current: no look at the topic is needed.
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
