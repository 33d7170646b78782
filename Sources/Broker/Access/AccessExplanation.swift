/// Says whether a client may do something, by the same code that decides, and which rules matter.
package struct AccessExplanation: Sendable {
    /// What the client would do.
    package enum Action: String, Sendable, CaseIterable {
        case publish, subscribe, retain
        /// Rights on `/admin`, which are about no topic.
        case read, write, operate

        /// The right on `/admin`; `nil`: it is about a topic or a filter.
        package var administration: AdminRight? { AdminRight(rawValue: rawValue) }

        /// What a message says of a word that is none, after "expected".
        package static let expectation = "publish, subscribe, retain, read, write or operate"
    }

    /// What says something about it.
    package enum Source: Sendable, Equatable {
        /// A rule, in the order of all rules.
        case rule(Int)
        /// What the client's token carries itself.
        case token
        /// What the client's token is for, at most.
        case ceiling
    }

    /// One filter of what applies, or that there is none.
    package struct Line: Sendable {
        package let source: Source
        /// The filter as it is written, with placeholders, or the rights on `/admin`; empty: it says nothing about the action.
        package let template: String
        package let isDenial: Bool
        /// The filters for this client; empty: a value of a placeholder is missing or unfit.
        package let filters: [String]
        /// Whether it matches the request; a filter that denies matches every filter that it overlaps.
        package let matches: Bool
    }

    package let isAllowed: Bool
    /// Why not: a phrase; empty: it is allowed.
    package let reason: String
    /// What denies it; `nil`: it is allowed, or nothing allows it.
    package let denier: Source?
    /// What applies, in order.
    package let lines: [Line]

    /// - Parameters:
    ///   - grant: what decides; `nil`: what the rules give the subject.
    ///   - name: a topic, or a filter where the action is to subscribe; nothing counts of it where the action is about no topic.
    package init(
        _ rules: AccessRules, _ subject: Subject, by grant: Grant? = nil, _ action: Action, _ name: String
    ) throws(TopicError) {
        if let right = action.administration {
            self.init(rules, subject, administering: right)
            return
        }
        let grant = grant ?? rules.grant(for: subject)
        let filter =
            action == .subscribe ? try TopicFilter(name, limits: .none) : TopicFilter(try Topic(name, limits: .none))
        let verdict = Self.verdict(of: grant, action, filter)
        let lines = Self.lines(rules, subject, action, filter)
        let isPublishing = action != .subscribe
        if isPublishing, filter.isSystem {
            self.init(lines, whyNot: "nobody may below $SYS")
        } else if verdict == .allowed {
            self.init(lines, whyNot: nil)
        } else if Self.verdict(of: grant.withoutCeilings, action, filter) == .allowed {
            self.init(lines, whyNot: "its token is for less")
        } else if case .denied(let deny) = verdict {
            let denying = lines.filter { $0.isDenial && $0.matches }
            let source = (denying.first { $0.filters.contains(deny.name) } ?? denying.first)?.source
            self.init(lines, whyNot: "deny \(deny.name) \(isPublishing ? "matches" : "overlaps") \(name)", source)
        } else {
            self.init(lines, whyNot: isPublishing ? "no rule allows it" : "no rule allows all of it")
        }
    }

    private init(_ lines: [Line], whyNot reason: String?, _ denier: Source? = nil) {
        isAllowed = reason == nil
        self.reason = reason ?? ""
        self.denier = denier
        self.lines = lines
    }

    private init(_ rules: AccessRules, _ subject: Subject, administering right: AdminRight) {
        let lines = rules.applying(to: subject).map { number in
            let given = rules.rules[number].admin
            let words = AdminRight.allCases.filter(given.contains).map(\.rawValue)
            return Line(
                source: .rule(number), template: words.joined(separator: ", "), isDenial: false, filters: words,
                matches: given.contains(right))
        }
        if rules.adminRights(of: subject).contains(right) {
            self.init(lines, whyNot: nil)
        } else if subject.principal.kind == .anonymous {
            self.init(lines, whyNot: "without credentials nobody administers the broker")
        } else {
            self.init(lines, whyNot: lines.contains(where: \.matches) ? "its token is for less" : "no rule allows it")
        }
    }

    private static func verdict(of grant: Grant, _ action: Action, _ filter: TopicFilter) -> Grant.Verdict {
        action == .subscribe
            ? grant.verdict(on: filter) : grant.verdict(onTopic: filter, action == .publish ? .publish : .retain)
    }

    private static func lines(
        _ rules: AccessRules, _ subject: Subject, _ action: Action, _ filter: TopicFilter
    ) -> [Line] {
        var lines: [Line] = []
        func add(_ rule: AccessRule, _ source: Source) {
            let allowing =
                switch action {
                case .subscribe: rule.subscribe
                case .retain: rule.retain ?? rule.publish
                case .publish, .read, .write, .operate: rule.publish
                }
            let denying = action == .subscribe ? rule.denySubscribe : rule.denyPublish
            for template in allowing {
                let filters = template.filters(for: subject)
                lines.append(
                    Line(
                        source: source, template: template.text, isDenial: false, filters: filters.map(\.name),
                        matches: filters.contains { $0.covers(filter) }))
            }
            for template in denying {
                let filters = template.denied(for: subject)
                lines.append(
                    Line(
                        source: source, template: template.text, isDenial: true, filters: filters.map(\.name),
                        matches: filters.contains { $0.overlaps(filter) }))
            }
            guard allowing.isEmpty, denying.isEmpty else { return }
            lines.append(Line(source: source, template: "", isDenial: false, filters: [], matches: false))
        }
        for number in rules.applying(to: subject) { add(rules.rules[number], .rule(number)) }
        if let carried = subject.principal.carried { add(carried, .token) }
        for ceiling in subject.principal.ceilings { add(ceiling, .ceiling) }
        return lines
    }
}
