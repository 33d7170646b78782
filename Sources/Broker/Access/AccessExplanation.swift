/// Explains whether a client may do something, and which rules decide it.
///
/// Uses the same code that decides about real requests.
package struct AccessExplanation: Sendable {
    /// The action that is explained.
    package enum Action: String, Sendable, CaseIterable {
        case publish, subscribe, retain
        /// Rights on `/admin`, which concern no topic.
        case read, write, operate

        /// The right on `/admin`; `nil` if the action concerns a topic or a filter.
        package var administration: AdminRight? { AdminRight(rawValue: rawValue) }

        /// The end of an error message about an unknown action, after "expected".
        package static let expectation = "publish, subscribe, retain, read, write or operate"
    }

    /// Where a line of the explanation comes from.
    package enum Source: Sendable, Equatable {
        /// A rule, by its index in the list of all rules.
        case rule(Int)
        /// The grants that the client's token carries.
        case token
        /// A limit of the client's token on the rights of its user.
        case ceiling
    }

    /// One filter of a source that applies to the client, or the statement that the source has none for the action.
    package struct Line: Sendable {
        package let source: Source
        /// The filter as written, with placeholders, or the rights on `/admin`; empty if the source has none for the
        /// action.
        package let template: String
        package let isDenial: Bool
        /// The filter with the client's values inserted; empty if a placeholder's value is missing or unusable.
        package let filters: [String]
        /// Whether the line matches the request; a filter that denies matches every filter that overlaps it.
        package let matches: Bool
    }

    package let isAllowed: Bool
    /// Why the action is not allowed, as a phrase; empty if it is allowed.
    package let reason: String
    /// The source of the filter that denies the action; `nil` if it is allowed, or if nothing allows it.
    package let denier: Source?
    /// The filters of all sources that apply to the client, in order.
    package let lines: [Line]

    /// - Parameters:
    ///   - grant: the grant that decides; `nil` for the grant that the rules give the subject.
    ///   - name: a filter if the action is `subscribe`, else a topic; ignored for rights on `/admin`.
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
            self.init(lines, whyNot: "topics below $SYS belong to the broker")
        } else if filter.isPrivate {
            self.init(lines, whyNot: "topics below $cluster belong to the broker")
        } else if verdict == .allowed {
            self.init(lines, whyNot: nil)
        } else if Self.verdict(of: grant.withoutCeilings, action, filter) == .allowed {
            self.init(lines, whyNot: "its token does not allow it")
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
            self.init(lines, whyNot: "administration needs credentials")
        } else {
            self.init(
                lines, whyNot: lines.contains(where: \.matches) ? "its token does not allow it" : "no rule allows it")
        }
    }

    private static func verdict(of grant: Grant, _ action: Action, _ filter: TopicFilter) -> Grant.Verdict {
        action == .subscribe
            ? grant.verdict(on: filter) : grant.verdict(onTopic: filter, action == .publish ? .publish : .retain)
    }

    /// The lines that apply to a client and concern the action, which is about topics.
    package static func lines(_ rules: AccessRules, _ subject: Subject, _ action: Action) -> [Line] {
        lines(rules, subject, action, nil).filter { !$0.template.isEmpty }
    }

    /// - Parameter filter: the requested filter; `nil` if there is none, so that no line matches.
    private static func lines(
        _ rules: AccessRules, _ subject: Subject, _ action: Action, _ filter: TopicFilter?
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
                        matches: filter.map { asked in filters.contains { $0.covers(asked) } } ?? false))
            }
            for template in denying {
                let filters = template.denied(for: subject)
                lines.append(
                    Line(
                        source: source, template: template.text, isDenial: true, filters: filters.map(\.name),
                        matches: filter.map { asked in filters.contains { $0.overlaps(asked) } } ?? false))
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
