import Testing

@testable import Broker

/// Conditions and expiry, decided without an order, a store and a clock.
@Suite("Applying: the outcome of a draft at one point of the order")
struct ApplyingTests {
    /// The number of the value, as `check` gets it; `nil` without a value.
    @Test(
        arguments: [
            (.none, nil, nil), (.none, 7, nil), (.present, nil, .notFound), (.present, 7, nil), (.absent, nil, nil),
            (.absent, 7, .conflict), (.matches([]), nil, .conflict), (.matches([]), 7, nil),
            (.matches([7]), 7, nil), (.matches([6, 8]), 7, .conflict), (.matches([7]), nil, .conflict),
            (.expired(7), 7, nil), (.expired(7), 8, .conflict), (.expired(7), nil, .conflict),
            (.expired(nil), nil, nil),
            (.expired(nil), 7, .conflict),
        ] as [(Draft.Condition, UInt64?, ErrorCode?)])
    func decidesConditions(condition: Draft.Condition, current: UInt64?, code: ErrorCode?) throws {
        let topic = try topic("a")
        var refusal: Refusal?
        do throws(Refusal) { try Applying.check(condition, of: topic, current: current) } catch { refusal = error }
        #expect(refusal?.code == code)
    }

    /// Messages that are being written are newer than the store, including removals and expired values.
    @Test func pendingValuesHideStoredOnes() throws {
        let topic = try topic("a")
        var applying = Applying()
        func value(now: Int64) throws -> UInt64? {
            try applying.value(of: topic, now: now) { () throws(Refusal) in 3 }
        }
        #expect(try value(now: 0) == 3)
        applying.overlay.set(try retained("a", "x", seq: 5, expiry: 100))
        #expect(try value(now: 99) == 5)
        #expect(try value(now: 100) == nil)
        applying.overlay.set(try retained("a", "", seq: 6))
        #expect(try value(now: 0) == nil)
        #expect(throws: Refusal(.unavailable, "not now")) {
            try applying.value(of: Topic(unchecked: "b"), now: 0) { () throws(Refusal) in
                throw Refusal(.unavailable, "not now")
            }
        }
    }

    /// Number and times come from the order: the same input gives the same message.
    @Test func theSameDraftAndPlaceGiveTheSameMessage() throws {
        var draft = try draft("h/a", "x", retained: true)
        draft.timeToLive = 50
        draft.properties = try MessageProperties(correlation: [1])
        draft.origin = 9
        let rule = HistoryRule(filter: try filter("h/#"))
        var applying = Applying()
        applying.rules = HistoryRules([rule])
        let drafts = [try self.draft("first"), draft]
        for _ in 0..<2 {
            #expect(applying.rule(for: draft.topic) === rule)
            let message = Applying.message(of: drafts.span, at: 1, seq: 4, number: 4, time: 1000, now: { 2000 })
            #expect(message.seq == 4 && message.time == 1000 && message.expiry == 2050 && message.origin == 9)
            #expect(message.topic == draft.topic && message.payload == draft.payload && message.isRetained)
            #expect(message.properties == draft.properties)
        }
        #expect(applying.rule(for: try topic("other")) == nil)
    }

    private func draft(_ name: String) throws -> Draft { Draft(topic: try topic(name), payload: [1], kind: .text) }

    private func draft(_ name: String, _ payload: String, retained: Bool) throws -> Draft {
        var draft = Draft(topic: try topic(name), payload: Array(payload.utf8), kind: .text)
        draft.isRetained = retained
        return draft
    }
}
