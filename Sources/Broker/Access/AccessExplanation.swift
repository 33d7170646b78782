/// Says whether a client may do something, by the same code that decides, and which rules matter.
package struct AccessExplanation: Sendable {
    /// What the client would do.
    package enum Action: String, Sendable, CaseIterable {
        case publish, subscribe, retain
    }

    /// One filter of a rule that applies.
    package struct Line: Sendable {
        /// The rule, in the order of all rules.
        package let rule: Int
        /// The filter as it is written, with placeholders.
        package let template: String
        package let isDenial: Bool
        /// The filters for this client; empty: a value of a placeholder is missing or unfit.
        package let filters: [String]
        /// Whether it matches the request; a filter that denies matches every filter that it overlaps.
        package let matches: Bool
    }

    package let isAllowed: Bool
    /// Why: a phrase.
    package let reason: String
    /// The filters of the rules that apply, in order.
    package let lines: [Line]

    /// - Parameters:
    ///   - grant: what decides; `nil`: what the rules give the subject.
    ///   - name: a topic, or a filter where the action is to subscribe.
    package init(
        _ rules: AccessRules, _ subject: Subject, by grant: Grant? = nil, _ action: Action, _ name: String
    ) throws(TopicError) {
        let grant = grant ?? rules.grant(for: subject)
        let filter: TopicFilter
        if action == .subscribe {
            filter = try TopicFilter(name)
            switch grant.verdict(on: filter) {
            case .allowed: (isAllowed, reason) = (true, "")
            case .notAllowed: (isAllowed, reason) = (false, "no rule allows all of it")
            case .denied(let deny): (isAllowed, reason) = (false, "deny \(deny.name) overlaps \(name)")
            }
        } else {
            let topic = try Topic(name)
            filter = TopicFilter(topic)
            let isRight = action == .publish ? grant.mayPublish(to: topic) : grant.mayRetain(topic)
            isAllowed = isRight && !topic.isSystem
            reason =
                isAllowed
                ? "" : topic.isSystem ? "nobody may below $SYS" : "no rule allows it, or one denies it"
        }
        var lines: [Line] = []
        for number in rules.applying(to: subject) {
            let rule = rules.rules[number]
            let allowing =
                switch action {
                case .publish: rule.publish
                case .subscribe: rule.subscribe
                case .retain: rule.retain ?? rule.publish
                }
            let denying = action == .subscribe ? rule.denySubscribe : rule.denyPublish
            for template in allowing {
                let filters = template.filters(for: subject)
                lines.append(
                    Line(
                        rule: number, template: template.text, isDenial: false, filters: filters.map(\.name),
                        matches: filters.contains { $0.covers(filter) }))
            }
            for template in denying {
                let filters = template.denied(for: subject)
                lines.append(
                    Line(
                        rule: number, template: template.text, isDenial: true, filters: filters.map(\.name),
                        matches: filters.contains { $0.overlaps(filter) }))
            }
        }
        self.lines = lines
    }
}
