import Testing

@Suite("The English of comments, messages and documents")
struct PlainEnglishTests {
    @Test(arguments: PlainEnglish.rules.map(\.bad))
    func findsABadSentence(sentence: String) { #expect(PlainEnglish.findings(in: sentence).count == 1) }

    @Test(arguments: PlainEnglish.rules.map(\.good))
    func acceptsAGoodSentence(sentence: String) { #expect(PlainEnglish.findings(in: sentence).isEmpty) }

    @Test func findsEachLineOnce() {
        #expect(PlainEnglish.findings(in: "Whoever came anew.\nWell.\nWhoever went.").count == 3)
    }

    /// The two files that name the phrases.
    static let exempt = [
        "Tests/TidyTests/PlainEnglish.swift", "Tests/TidyTests/PlainEnglishTests.swift", "CONTRIBUTING.md",
    ]

    @Test(arguments: TidyTests.everything.filter { !exempt.contains($0) })
    func theRepositoryIsInPlainEnglish(path: String) throws {
        // A separate value, so that a failure shows the lines and the advice.
        let findings = PlainEnglish.findings(in: try Repository.text(of: path))
        #expect(findings == [])
    }
}
