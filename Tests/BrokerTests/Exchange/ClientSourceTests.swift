import Testing

@testable import Broker

@Suite("ClientSources: origins and user agents of clients, each kept once")
struct ClientSourceTests {
    @Test func clientsWithEqualHeadersShareASource() {
        var sources = ClientSources()
        let one = sources.source(origin: "https://a.test", agent: "b/1")
        #expect(one != nil && one === sources.source(origin: "https://a.test", agent: "b/1"))
        #expect(one !== sources.source(origin: nil, agent: "b/1"))
        #expect(sources.source(origin: nil, agent: nil) == nil)
    }

    @Test func truncatesLongHeaders() {
        var sources = ClientSources()
        let agent = sources.source(origin: nil, agent: String(repeating: "ü", count: 10_000))?.agent
        #expect(agent == String(repeating: "ü", count: 40) + "…")
        let short = String(repeating: "x", count: ClientSources.maximumText)
        #expect(sources.source(origin: nil, agent: short)?.agent == short)
    }

    @Test func limitsTheNumberOfSources() {
        var sources = ClientSources()
        let held = (0..<ClientSources.maximum).map { sources.source(origin: nil, agent: "held \($0)") }
        let further = (0..<ClientSources.maximum).map { sources.source(origin: nil, agent: "new \($0)") }
        #expect(held.allSatisfy { $0 != nil } && further.allSatisfy { $0 == nil })
        #expect(sources.source(origin: nil, agent: "held 5") === held[5])
    }

    @Test func unusedSourcesMakeRoom() {
        var sources = ClientSources()
        for number in 0..<ClientSources.maximum { _ = sources.source(origin: nil, agent: "gone \(number)") }
        let further = (0..<ClientSources.maximum).map { sources.source(origin: nil, agent: "new \($0)") }
        #expect(further.last??.agent == "new \(ClientSources.maximum - 1)")
    }

    @Test(arguments: [
        ("https://a.test", "b/1.0.1"), ("", "a name that is longer than sixteen bytes/2"), ("https://a.test", ""),
    ])
    func findsRecentSourcesByBytes(origin: String, agent: String) {
        var sources = ClientSources()
        let made = sources.source(origin: origin.isEmpty ? nil : origin, agent: agent.isEmpty ? nil : agent)
        let others = [("https://b.test", "c/1"), (origin, agent + "x"), (origin + "x", agent)]
        for other in others { _ = sources.source(origin: other.0, agent: other.1) }
        // A source that has taken its place is not mistaken for it.
        let found = sources.recent(origin: origin.utf8Span.span, agent: agent.utf8Span.span)
        #expect(found == nil || found === made)
        _ = sources.source(origin: made?.origin, agent: made?.agent)
        let again = sources.recent(origin: origin.utf8Span.span, agent: agent.utf8Span.span)
        #expect(again === made)
    }

    /// Both texts count, and a truncated text does not match the full one.
    @Test func neverConfusesRecentSources() {
        var sources = ClientSources()
        let long = String(repeating: "x", count: ClientSources.maximumText + 1)
        _ = sources.source(origin: "https://a.test", agent: long)
        let cut = sources.recent(origin: "https://a.test".utf8Span.span, agent: long.utf8Span.span)
        #expect(cut == nil)
        for number in 0..<1000 { _ = sources.source(origin: "https://a.test", agent: "b/\(number)") }
        for number in 0..<1000 {
            let agent = "b/\(number)"
            let found = sources.recent(origin: "https://a.test".utf8Span.span, agent: agent.utf8Span.span)
            #expect(found == nil || found?.agent == agent)
        }
    }
}
