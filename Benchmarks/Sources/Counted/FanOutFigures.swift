import Counting

/// One message to many, by every way out: instructions for each delivery, with all that a publication costs.
enum FanOutFigures {
    /// A way out, and how a message goes in beside it.
    private struct Way {
        let name: String
        let target: String
        /// What a subscriber of a WebSocket says first; empty: nothing.
        var greeting = ""
        var isStream = false
    }

    private static let ways = [
        Way(name: "topic", target: "/t/bench/topic"),
        Way(name: "json", target: "/ws", greeting: #"{"op":"subscribe","filter":"bench/+"}"#),
        Way(name: "subscription", target: "/s/bench/%2B"),
        Way(name: "events", target: "/s/bench/%2B", isStream: true),
    ]

    private static let payload = String(repeating: "m", count: 64)

    static func record(in tally: Tally, _ harness: Harness) throws {
        for way in ways {
            for count in [1, 100, 1000] where tally.wants("publish/\(way.name)/\(count)/") {
                var stubs: [StubClient] = []
                for _ in 0..<count { stubs.append(try subscribe(way, harness)) }
                try record("publish/\(way.name)/\(count)", way, stubs, in: tally, harness)
                harness.close(stubs)
            }
        }
        try recordLarge("topic-1KiB", in: tally, harness)
        try recordReplies(in: tally, harness)
    }

    /// A kilobyte of JSON to 1,000 topic sockets; where the broker compresses, once for all of them.
    static func recordLarge(_ name: String, in tally: Tally, _ harness: Harness) throws {
        guard tally.wants("publish/\(name)/1000/") else { return }
        let stubs = try (0..<1000).map { _ in try subscribe(ways[0], harness) }
        let readings = (0..<40).map { #"{"sensor":\#($0),"value":\#($0 * 7919 % 1000)}"# }
        let payload = String(readings.joined(separator: ",").utf8.prefix(1024)) ?? ""
        try record("publish/\(name)/1000", ways[0], stubs, payload, in: tally, harness)
        harness.close(stubs)
    }

    private static func subscribe(_ way: Way, _ harness: Harness) throws -> StubClient {
        guard !way.isStream else {
            let request = "GET \(way.target) HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
            let stub = try harness.call(request)
            harness.turns(4)
            return stub
        }
        let stub = try harness.open(way.target)
        if !way.greeting.isEmpty {
            try stub.send(ClientFrame.text(way.greeting))
            harness.turns(3)
        }
        return stub
    }

    /// The publisher is a topic socket for topic sockets and a JSON socket for the others; it does not subscribe.
    private static func record(
        _ name: String, _ way: Way, _ stubs: [StubClient], _ payload: String = payload, in tally: Tally,
        _ harness: Harness
    ) throws {
        let isTopic = way.name == "topic"
        // The first topic socket publishes, as sockets of that kind do.
        let publisher = isTopic ? stubs[0] : try harness.open("/ws")
        let command = #"{"op":"publish","topic":"bench/topic","data":"\#(payload)"}"#
        let frame = ClientFrame.text(isTopic ? payload : command)
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        var received = 0
        for (pace, messages) in [("one-a-turn", 1), ("fifty-a-turn", 50)] {
            let burst = ClientFrame.repeated(frame, messages)
            let rounds = max(1, (messages == 1 ? 2000 : 1000) / (stubs.count * messages))
            try tally.record(
                "\(name)/\(pace)", operations: stubs.count * messages, rounds: min(rounds, 20),
                before: {
                    for stub in stubs { received += stub.drain(into: &buffer) }
                    try publisher.send(burst)
                }
            ) { harness.turn() }
        }
        for stub in stubs { received += stub.drain(into: &buffer) }
        guard received > min(payload.utf8.count, 100) * stubs.count * 3 else {
            throw Harness.Failure(what: "\(name): \(received)")
        }
        if !isTopic { harness.close([publisher]) }
    }

    /// The cost of an acknowledged publication without subscribers.
    private static func recordReplies(in tally: Tally, _ harness: Harness) throws {
        guard tally.wants("publish/json/acknowledged") else { return }
        let publisher = try harness.open("/ws")
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let frame = ClientFrame.text(#"{"op":"publish","id":7,"topic":"bench/alone","data":"\#(payload)"}"#)
        let burst = ClientFrame.repeated(frame, 50)
        try tally.record(
            "publish/json/acknowledged", operations: 50, rounds: 2,
            before: {
                publisher.drain(into: &buffer)
                try publisher.send(burst)
            }
        ) { harness.turn() }
        harness.close([publisher])
    }
}
