import Synchronization
import Testing

@testable import Broker
@testable import WSTransport

@Suite("The stream of events: bounded for the log, for administrators and for subscribers")
struct EventStreamTests {
    /// The lines that a log received.
    private final class Lines: Sendable {
        private let all = Mutex<[Journal.Entry]>([])
        func add(_ entry: Journal.Entry) { all.withLock { $0.append(entry) } }
        var entries: [Journal.Entry] { all.withLock { $0 } }
    }

    private func text(_ stream: EventStream) -> [String] {
        stream.memory.lines(after: nil, since: nil) { _ in true }.lines.map {
            String(decoding: $0.bytes, as: UTF8.self)
        }
    }

    @Test func deliversAnEventToEachConsumer() throws {
        let (stream, lines) = (EventStream(), Lines())
        let published = Mutex<[String]>([])
        stream.log { lines.add($0) }
        stream.publish { events in
            published.withLock {
                $0 += events.map { "\($0.kind.rawValue) \(String(decoding: $0.payload, as: UTF8.self))" }
            }
        }
        stream.tell(.slow) { event in
            event.client = "c1"
            event.user = "bob"
            event.address = "10.0.0.1:99"
            event.add("unsent", 70_000)
        }
        stream.flush()
        let json = try #require(text(stream).first)
        #expect(json.contains(#""event":"slow","client":"c1","user":"bob","address":"10.0.0.1:99","unsent":70000}"#))
        #expect(published.withLock { $0 } == ["slow " + json])
        let entry = try #require(lines.entries.first)
        #expect(
            entry.message == "a client is slow"
                && entry.metadata.map(\.name) == ["client", "user", "address", "unsent"])
        #expect(entry.metadata.map(\.value) == ["c1", "bob", "10.0.0.1:99", "70000"])
        #expect(stream.totals.first { $0.kind == .slow }?.count == 1)
        let found = stream.memory.lines(after: nil, since: nil) { $0.has(BrokerEvent.tag(user: "bob")) }
        #expect(found.lines.count == 1)
    }

    @Test func countsAFloodOfOneKindWithoutHidingOthers() {
        let (stream, lines) = (EventStream(), Lines())
        stream.log { lines.add($0) }
        for _ in 0..<1500 { stream.tell(.refused) { $0.add("by", "rule") } }
        stream.tell(.gap)
        stream.flush()
        #expect(stream.totals.first { $0.kind == .refused }?.count == 1500 && stream.droppedCount == 500)
        #expect(stream.memory.newest == 1001)
        let messages = lines.entries.map(\.message)
        #expect(messages.count { $0 == "refused" } == 20 && messages.contains("a client missed messages"))
        #expect(messages.last == "… and 1480 more in 10 s")
        // The next window has room again.
        stream.tell(.refused)
        stream.flush()
        #expect(lines.entries.last?.message == "refused")
    }

    @Test func summarizesWhenTheWindowEnds() {
        let (stream, lines) = (EventStream(), Lines())
        stream.log { lines.add($0) }
        for _ in 0..<21 { stream.tell(.dead) }
        stream.look()
        #expect(!lines.entries.contains { $0.message.hasPrefix("…") })
        stream.look(now: .now.advanced(byNanoseconds: 11_000_000_000))
        stream.flush()
        #expect(lines.entries.count { $0.message == "… and 1 more in 10 s" } == 1)
    }

    @Test func truncatesLongText() throws {
        let stream = EventStream()
        stream.tell(.refused) { $0.add("target", String(repeating: "ä", count: 100_000)) }
        stream.flush()
        #expect(try #require(text(stream).first).utf8.count < 400)
    }
}
