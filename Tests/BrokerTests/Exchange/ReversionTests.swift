import Testing

@testable import Broker
@testable import WSTransport

@Suite("A value the store refuses: subscribers get the previous value again")
struct ReversionTests {
    /// The messages a stub receives, up to the one with this payload.
    private func shown(_ stub: StubClient, upTo last: String) throws -> [String] {
        var shown: [String] = []
        while shown.last?.hasSuffix("=\(last)") != true {
            let notice = try stub.receive()
            if notice.op == "message" { shown.append("\(notice.topic ?? "")=\(notice.data ?? "")") }
        }
        return shown
    }

    private func refuse(_ drafts: [Draft], _ gate: GateStore, _ harness: ExchangeHarness) throws {
        gate.fail(with: .full)
        #expect(try harness.publish(on: 1, drafts).map { $0.error?.code } == drafts.map { _ in .storageFull })
        gate.fail(with: nil)
    }

    @Test(arguments: [false, true])
    func subscribersEndUpWithTheValuesOfTheStore(isDelayed: Bool) throws {
        let gate = GateStore()
        let harness = try ExchangeHarness(gate, order: [0, 1], isDelayed: isDelayed)
        let stubs = try [0, 1].map { try harness.connectJSON(on: $0) }
        _ = try harness.publish([draft("a", "old", retained: true)])
        for stub in stubs { try stub.ask(#"{"op":"subscribe","id":1,"filter":"+"}"#, id: 1) }
        let sequencer = harness.sequencer
        try refuse([draft("a", "new", retained: true), draft("b", "first", retained: true)], gate, harness)
        try harness.wait { _ in sequencer.newest == 5 }
        // An empty one: the removal is refused.
        try refuse([draft("a", "", retained: true)], gate, harness)
        try harness.wait { _ in sequencer.newest == 7 }
        _ = try harness.publish([draft("c", "end")])
        for stub in stubs {
            let all = try shown(stub, upTo: "end")
            #expect(all == ["a=old", "a=new", "b=first", "a=old", "b=", "a=", "a=old", "c=end"])
        }
        #expect(try sequencer.value(of: topic("a"))?.payload.array == Array("old".utf8))
        #expect(try sequencer.value(of: topic("b")) == nil)
        #expect(harness.counters[0].reversions.current == 3)
    }

    /// A value that is refused later is not the one that stayed.
    @Test func aNewerValueWins() throws {
        let gate = GateStore()
        let harness = try ExchangeHarness(gate)
        let stub = try harness.connectJSON()
        try stub.ask(#"{"op":"subscribe","id":1,"filter":"+"}"#, id: 1)
        gate.shut()
        var first = try draft("a", "first", retained: true)
        first.acknowledgement = .routed
        _ = try harness.publish([first])
        try harness.wait { _ in gate.hasOneWaiting }
        var second = try draft("a", "second", retained: true)
        second.acknowledgement = .routed
        _ = try harness.publish([second])
        gate.fail(with: .full)
        gate.letOnePass()
        try harness.wait { _ in gate.hasOneWaiting }
        gate.fail(with: nil)
        gate.open()
        #expect(try harness.publish([draft("b", "end", retained: true)])[0].error == nil)
        #expect(try shown(stub, upTo: "end") == ["a=first", "a=second", "b=end"])
        #expect(harness.counters[0].reversions.current == 0)
    }

    /// Refused messages are not retried, and waiting ones are bounded.
    @Test func boundsTheTopicsWaitingForCorrection() throws {
        let gate = GateStore()
        let harness = try ExchangeHarness(gate, order: [0, 1])
        let stub = try harness.connectJSON(on: 1)
        try stub.ask(#"{"op":"subscribe","id":1,"filter":"+","slow":"drop-oldest"}"#, id: 1)
        let most = Reversions.maximumTopics
        try refuse((0..<most + 10).map { try draft("\($0)", retained: true) }, gate, harness)
        let counters = harness.counters[0]
        try harness.wait { _ in counters.reversions.current + counters.omittedReversions.current >= most + 10 }
        #expect(counters.reversions.current >= most)
    }
}
