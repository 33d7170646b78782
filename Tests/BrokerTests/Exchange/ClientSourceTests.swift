import Testing

@testable import Broker

@Suite("ClientSources: where clients come from, kept once")
struct ClientSourceTests {
    @Test func thoseThatSayTheSameShareOne() {
        var sources = ClientSources()
        let one = sources.source(origin: "https://a.test", agent: "b/1")
        #expect(one != nil && one === sources.source(origin: "https://a.test", agent: "b/1"))
        #expect(one !== sources.source(origin: nil, agent: "b/1"))
        #expect(sources.source(origin: nil, agent: nil) == nil)
    }

    @Test func longTextsAreCut() {
        var sources = ClientSources()
        let agent = sources.source(origin: nil, agent: String(repeating: "ü", count: 10_000))?.agent
        #expect(agent == String(repeating: "ü", count: 40) + "…")
        let short = String(repeating: "x", count: ClientSources.maximumText)
        #expect(sources.source(origin: nil, agent: short)?.agent == short)
    }

    @Test func strangersDoNotFillTheMemory() {
        var sources = ClientSources()
        let held = (0..<ClientSources.maximum).map { sources.source(origin: nil, agent: "held \($0)") }
        let further = (0..<ClientSources.maximum).map { sources.source(origin: nil, agent: "new \($0)") }
        #expect(held.allSatisfy { $0 != nil } && further.allSatisfy { $0 == nil })
        #expect(sources.source(origin: nil, agent: "held 5") === held[5])
    }

    @Test func thoseThatNobodyHasAnyMoreMakeRoom() {
        var sources = ClientSources()
        for number in 0..<ClientSources.maximum { _ = sources.source(origin: nil, agent: "gone \(number)") }
        let further = (0..<ClientSources.maximum).map { sources.source(origin: nil, agent: "new \($0)") }
        #expect(further.last??.agent == "new \(ClientSources.maximum - 1)")
    }
}
