/// A right of an administrator; each request of ``AdminRequest`` needs one.
package enum AdminRight: String, Sendable, CaseIterable {
    /// Read the broker's state, its clients and its values.
    case read
    /// Change values and disconnect clients.
    case write
    /// Change how the broker runs and who may do what, and copy all its data.
    case operate
}

extension Access {
    /// The administrative rights of a client: those of the rules that apply to it, reduced to those of its token.
    ///
    /// An anonymous client has none, whatever the rules say.
    package func adminRights(of subject: Subject) -> Set<AdminRight> {
        rules.adminRights(of: subject)
    }
}

extension AccessRules {
    /// See ``Access/adminRights(of:)``.
    package func adminRights(of subject: Subject) -> Set<AdminRight> {
        switch subject.principal.kind {
        case .administrator: return Set(AdminRight.allCases)
        case .anonymous: return []
        case .password, .session, .token, .jwt, .certificate, .peer: break
        }
        var rights: Set<AdminRight> = []
        for rule in rules where !rule.admin.isEmpty && rule.condition.applies(to: subject) {
            rights.formUnion(rule.admin)
        }
        return subject.principal.admin.map { rights.intersection($0) } ?? rights
    }
}
