import Testing

@testable import Broker
@testable import WSTransport

@Suite("§3.1: requests that wait for a reply", .timeLimit(.minutes(10)))
struct RequestTests {
    private static let count = 500

    private func tasks(_ harness: ExchangeHarness) throws -> Int { try harness.run { $0.reactor.later.count } }

    /// Otherwise each would be kept until the time is over, up to five minutes.
    @Test func anAnsweredRequestIsForgotten() throws {
        let harness = try ExchangeHarness()
        let (asker, replier) = (try harness.connectJSON(), try harness.connectJSON())
        try replier.send(#"{"op":"subscribe","id":1,"filter":"sums"}"#)
        while try replier.receive().op != "live" {}
        let before = try tasks(harness)
        for number in 0..<Self.count {
            try asker.send(
                #"{"op":"publish","id":\#(number),"topic":"sums","data":"q","reply":true,"timeout":300}"#)
            let inbox = try #require(try replier.receive().replyTo)
            try replier.send(#"{"op":"publish","topic":"\#(inbox)","data":"a"}"#)
            while try asker.receive().op != "reply" {}
        }
        #expect(try tasks(harness) == before)
        #expect(harness.counters[0].waitingRequests.current == 0)
    }

    @Test func theRequestsOfAClientThatLeavesAreForgotten() throws {
        let harness = try ExchangeHarness()
        let (first, second) = (try harness.connectJSON(), try harness.connectJSON())
        let before = try tasks(harness)
        for asker in [first, second] {
            for number in 0..<50 {
                let members = #""topic":"nobody","data":"q","reply":true,"timeout":300"#
                _ = try asker.ask(#"{"op":"publish","id":\#(number),\#(members)}"#, id: number)
            }
        }
        #expect(try tasks(harness) == before + 100)
        first.leave()
        try harness.wait { $0.counters.waitingRequests.current == 50 }
        #expect(try tasks(harness) == before + 50)
    }
}
