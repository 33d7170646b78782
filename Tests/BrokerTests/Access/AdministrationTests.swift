import Testing

@testable import Broker

@Suite("Rights of administrators")
struct AdministrationTests {
    private func rule(
        _ admin: Set<AdminRight>, _ condition: (inout AccessRule.Condition) -> Void
    ) -> AccessRule {
        var rule = AccessRule()
        condition(&rule.condition)
        rule.admin = admin
        return rule
    }

    @Test func rightsOfRulesAddUpAndLimitATokensRights() {
        let access = Access([
            rule([.read]) { $0.role = "staff" }, rule([.write]) { $0.user = "alice" },
            rule([.operate]) { $0.isAnonymous = true },
            rule([.operate]) {
                $0.user = "alice"
                $0.addresses = [AddressRange("10.0.0.0/8")].compactMap(\.self)
            },
        ])
        func rights(
            _ kind: Principal.Kind, _ user: String?, _ roles: Set<ExactText> = [], admin: Set<AdminRight>? = nil
        ) -> Set<AdminRight> {
            let principal = Principal(kind, user: user, roles: roles, admin: admin)
            return access.adminRights(of: Subject(principal, address: "10.0.0.9"))
        }
        #expect(rights(.administrator, nil) == [.read, .write, .operate])
        #expect(rights(.anonymous, nil).isEmpty)
        #expect(rights(.password, "bob").isEmpty)
        #expect(rights(.jwt, "bob", ["staff"]) == [.read])
        #expect(rights(.password, "alice", ["staff"]) == [.read, .write, .operate])
        #expect(rights(.token, "alice", ["staff"], admin: [.read]) == [.read])
        #expect(rights(.token, "alice", ["staff"], admin: []).isEmpty)
        #expect(rights(.token, "bob", ["staff"], admin: [.read, .operate]) == [.read])
        let far = Subject(Principal(.password, user: "alice"), address: "11.0.0.9")
        #expect(access.adminRights(of: far) == [.write])
    }

    @Test(arguments: [[], [AdminRight.read], [.read, .operate]])
    func aTokenGrantsOnlyTheAdminRightsItNames(admin: [AdminRight]) throws {
        let (token, entry) = try CredentialTests.token("ci") { $0.admin = admin }
        let table = CredentialTests.table([.user(CredentialTests.user("ci")), .token(entry)])
        let principal = try #require(table.principal(for: token, from: { nil }, now: 0))
        #expect(principal.admin == Set(admin))
        // Its rights to publish and subscribe are those of its user.
        #expect(principal.ceilings.isEmpty)
    }
}
