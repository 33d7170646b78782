import Foundation
import Testing

@Suite("Rules for the text of the repository")
struct TidyTests {
    static let sources = Repository.swiftFiles(in: "Sources")
    static let tests = Repository.swiftFiles(in: "Tests")

    /// All files for users: code, settings, scripts and prose.
    static let everything =
        ["Sources", "Tests", "Examples", "Benchmarks", "Config", "deploy", "docs", "tools", ".ci"].flatMap(
            Repository.files)
        + ["Package.swift", "Makefile", "README.md", "CONTRIBUTING.md", "CHANGELOG.md"].filter(Repository.exists)

    @Test func findsTheRepository() {
        #expect(Self.sources.count > 10 && Self.tests.count > 5)
        #expect(Self.everything.contains("Config/broker.yaml") && Self.everything.contains("Package.swift"))
    }

    @Test(arguments: sources + tests)
    func filesHaveAtMost500Lines(path: String) throws {
        #expect(try Repository.lines(of: path).count <= 501, "at most 500 lines")
    }

    @Test(arguments: sources + tests)
    func namesAreSpecific(path: String) throws {
        let vague = /.*(Utils?|Utilit(y|ies)|Helpers?|Managers?|Common|Misc)/
        let parts = path.replacing(/\.swift$/, with: "").split { "/+".contains($0) }
        let names = SwiftWords.declaredNames(in: try Repository.text(of: path)).union(parts)
        let found = names.filter { $0.wholeMatch(of: vague) != nil }
        #expect(found == [], "a name that says nothing")
    }

    /// Forbidden in sources: traps that input can reach, unchecked promises, hidden errors.
    static let banned: [(pattern: String, reason: String)] = [
        (#"\btry!"#, "traps"),
        (#"\bfatalError\("#, "traps"),
        (#"\bas!"#, "traps"),
        (#"@unchecked\s+Sendable"#, "is a promise that nobody checks"),
        (#"\b(TODO|FIXME|XXX)\b(?!.*#\d)"#, "needs the number of an issue"),
        (#"swift-format-ignore"#, "switches a rule off"),
    ]

    @Test(arguments: sources)
    func sourcesContainNothingBanned(path: String) throws {
        let text = try Repository.text(of: path)
        let any = Self.banned.map { "(?:\($0.pattern))" }.joined(separator: "|")
        // Most texts contain nothing banned, which one search shows.
        if text.range(of: any, options: .regularExpression) == nil { return }
        for (pattern, reason) in Self.banned {
            let found = text.range(of: pattern, options: .regularExpression)
            #expect(found == nil, "\(found.map { text[text.lineRange(for: $0)] } ?? "") \(reason)")
        }
    }

    @Test(arguments: sources.filter { $0.hasPrefix("Sources/Broker/") })
    func theBrokerMakesNothingPublic(path: String) throws {
        let exported = /^\s*(?:@\w+ )*(public|open)\b/
        let found = try Repository.lines(of: path).filter { $0.firstMatch(of: exported) != nil }
        #expect(found == [], "write package, or nothing")
    }

    /// Disabled tests, and tests that sleep instead of watching, prove nothing; those that spin take the processor from
    /// the code that they wait for.
    @Test(arguments: tests + Repository.files(in: "Tests").filter { $0.contains("/test_") && $0.hasSuffix(".py") })
    func testsDoNotSkipSleepOrSpin(path: String) throws {
        let waste =
            #"\.(disabled|enabled)\(|withKnown"# + #"Issue|\b(time\.|u)?sleep\(|\b(Task|Thread)\.sleep"#
            + #"|\b(Task\.|sched_)yield\b|\bwhile [^\n]*(\.load\(|\b(harness|reactor|remotes\[\d+\])\.(run|on)\b)"#
        let text = try Repository.text(of: path)
        let found = text.range(of: waste, options: .regularExpression)
        #expect(found == nil, "\(found.map { text[text.lineRange(for: $0)] } ?? "") skips, sleeps or spins")
    }

    /// Folders of the machine on which a file was written.
    @Test(arguments: everything)
    func namesNoMachinesFolders(path: String) throws {
        let text = try Repository.text(of: path)
        // Not in the middle of a path: no character of a name comes before it.
        let folders = #"(?<![\w.~)}*-])/(?:work/|root/|tmp/h-|tmp/brief)"#
        let found = text.range(of: folders, options: .regularExpression)
        #expect(found == nil, "\(found.map { text[text.lineRange(for: $0)] } ?? "") names a folder of one machine")
    }
}
