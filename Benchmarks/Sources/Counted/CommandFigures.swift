import Broker
import Counting
import Glibc
import WSTransport

/// What clients ask for one by one: commands, requests, retained values.
enum CommandFigures {
    static func record(in tally: Tally, _ harness: Harness) throws {
        try recordDecoding(in: tally, harness)
        try recordEscapes(in: tally)
        try recordSubscriptions(in: tally, harness)
        try recordRequests(in: tally, harness)
    }

    private static func recordDecoding(in tally: Tally, _ harness: Harness) throws {
        let commands = [
            ("publish", #"{"op":"publish","id":3,"topic":"sensors/1/temp","data":21.5,"retain":true}"#),
            ("subscribe", #"{"op":"subscribe","id":1,"filter":"sensors/+/temp"}"#),
        ]
        for (name, text) in commands {
            let bytes = Array(text.utf8)
            try tally.record("json/decode-\(name)", operations: 50) {
                for _ in 0..<50 {
                    // As a session does.
                    if let publication = PlainPublication(bytes.span, from: 0),
                        let topic = harness.shard.topic(named: publication.topicName(in: bytes.span))
                    {
                        keep(publication.draft(of: bytes.span, to: topic))
                        continue
                    }
                    let object = try JSONObject.parse(bytes.span)
                    keep(try JSONCommand(object, limits: TopicLimits()))
                }
            }
        }
    }

    /// The cost of one escape among many: a client may send nothing else.
    private static func recordEscapes(in tally: Tally) throws {
        let escapes = String(repeating: #"\u0041"#, count: 1000)
        for (name, text) in [
            ("data", #"{"op":"publish","topic":"a","data":"\#(escapes)"}"#), ("operation", #"{"op":"\#(escapes)"}"#),
        ] {
            let bytes = Array(text.utf8)
            try tally.record("json/escape-in-\(name)", operations: 1000) {
                let object = try JSONObject.parse(bytes.span)
                do throws(Refusal) { keep(try JSONCommand(object, limits: TopicLimits())) } catch { keep(error) }
            }
        }
    }

    /// A hundred filters of one client, half of them with a wildcard, each with its answer and its empty snapshot.
    private static func recordSubscriptions(in tally: Tally, _ harness: Harness) throws {
        guard tally.wants("subscribe/") || tally.wants("unsubscribe/") else { return }
        let stub = try harness.open("/ws")
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        func frames(_ operation: String) -> [UInt8] {
            (0..<100).flatMap { number in
                let filter = number % 2 == 0 ? "desk/\(number)/lamp" : "desk/\(number)/+"
                return ClientFrame.text(#"{"op":"\#(operation)","id":\#(number),"filter":"\#(filter)"}"#)
            }
        }
        let (subscribe, unsubscribe) = (frames("subscribe"), frames("unsubscribe"))
        func settle(_ frames: [UInt8]) throws {
            stub.drain(into: &buffer)
            try stub.send(frames)
            harness.turns(4)
            stub.drain(into: &buffer)
        }
        try tally.record(
            "subscribe/json", operations: 100,
            before: {
                try settle(unsubscribe)
                try stub.send(subscribe)
            }
        ) { harness.turns(2) }
        try tally.record(
            "unsubscribe/json", operations: 100,
            before: {
                try settle(subscribe)
                try stub.send(unsubscribe)
            }
        ) { harness.turns(2) }
        harness.close([stub])
    }

    private static func recordRequests(in tally: Tally, _ harness: Harness) throws {
        guard tally.wants("http/") || tally.wants("retained/") else { return }
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let names = try store(10_000, harness)
        let topics = try stride(from: 0, to: names.count, by: 500).map { try Topic(names[$0]) }
        try tally.record("retained/lookup-of-10000", operations: topics.count) {
            for topic in topics {
                guard try harness.shard.sequencer.value(of: topic) != nil else {
                    throw Harness.Failure(what: "\(topic)")
                }
            }
        }
        let body = String(repeating: "b", count: 64)
        let head = "Host: localhost\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n"
        let requests = [
            (
                "http/publish",
                "POST /t/desk/1/lamp HTTP/1.1\r\n\(head)Content-Type: text/plain\r\nContent-Length: 64\r\n\r\n\(body)"
            ), ("http/get-retained", "GET /t/\(names[5_000]) HTTP/1.1\r\n\(head)\r\n"),
        ]
        // In the second of its publication a value is served in another way: the count depended on the time.
        sleep(1)
        for (name, request) in requests where tally.wants(name) {
            let stub = try harness.call("")
            harness.turns(2)
            try tally.record(
                name, operations: 1, rounds: 10,
                before: {
                    stub.drain(into: &buffer)
                    try stub.send(Array(request.utf8))
                }
            ) { harness.turn() }
            let answer = try stub.text()
            guard answer.hasPrefix("HTTP/1.1 200 ") else { throw Harness.Failure(what: answer) }
            harness.close([stub])
        }
    }

    /// Has so many retained values put on disk and returns their topics' names.
    private static func store(_ count: Int, _ harness: Harness) throws -> [String] {
        let names = (0..<count).map { "retained/\($0 >> 6)/\($0 & 63)" }
        for (number, name) in names.enumerated() {
            var draft = Draft(topic: try Topic(name), payload: Array("value \(number)".utf8), kind: .text)
            draft.isRetained = true
            draft.acknowledgement = .stored
            draft.completion = { _ in }
            harness.shard.publish(draft, from: nil)
            if number % 1000 == 999 { harness.turns(1) }
        }
        harness.turns(1)
        while harness.shard.waitingAcknowledgements > 0 { harness.turns(1) }
        return names
    }
}
