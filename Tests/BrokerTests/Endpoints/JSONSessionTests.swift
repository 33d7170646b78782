import Testing

@testable import Broker
@testable import WSTransport

@Suite("§3: a connection of broker.v1.json")
struct JSONSessionTests {
    /// The answers, as they are on the wire, to frames sent on a new connection.
    private func answers(to frames: [String], _ count: Int, settings: Settings = Settings()) throws -> [String] {
        let stub = try ExchangeHarness(settings: settings).connectJSON()
        for frame in frames { try stub.send(frame) }
        return try (0..<count).map { _ in try #require(try stub.frame()).text }
    }

    /// An `id` is returned unchanged, of either type; without one, success is silent.
    @Test(arguments: ["5", "-0.5e3", #""x""#, #""\u00e9\n""#, "12345678901234567890"])
    func returnsTheIDVerbatim(id: String) throws {
        let frames = [#"{"op":"ping","id":\#(id)}"#, #"{"op":"x","id":\#(id)}"#]
        let answers = try answers(to: frames, 2)
        #expect(answers[0] == #"{"op":"pong","id":\#(id)}"#)
        #expect(answers[1].hasPrefix(#"{"op":"error","id":\#(id),"code":"bad-request","message":"#))
    }

    @Test(arguments: ["null", "missing"])
    func answersOnlyErrorsAndPingsWithoutAnID(id: String) throws {
        let member = id == "null" ? #","id":null"# : ""
        let frames = ["publish", "subscribe", "unsubscribe"].map { operation in
            #"{"op":"\#(operation)","topic":"a","filter":"a","data":1,"snapshot":false\#(member)}"#
        }
        let all = try answers(to: frames + [#"{"op":"ping"\#(member)}"#, #"{"op":"x"\#(member)}"#], 3)
        #expect(all[0].hasPrefix(#"{"op":"live","filter":"a","seq":"#))
        #expect(all[1] == #"{"op":"pong"}"# && all[2].hasPrefix(#"{"op":"error","code":"bad-request","#))
    }

    /// JSON objects beyond the limits, with a place for an `id`.
    static let beyond: [String] = [
        #"{"data":"\ud800",ID}"#, #"{ID,"data":"\ud800"}"#, #"{"op":"x","op":"y",ID}"#,
        #"{"nested":{"id":5,"list":[{"id":6}]},"text":"\"id\":7,","half":"\udc00",ID}"#,
        "{ID,\"data\":" + String(repeating: "[", count: 65) + String(repeating: "]", count: 65) + "}",
        "{\"data\":" + String(repeating: "[\n", count: 65) + String(repeating: "]", count: 65) + ",ID}",
        "{ID," + (0..<257).map { "\"m\($0)\":\($0)" }.joined(separator: ",") + "}",
        "{" + (0..<257).map { "\"m\($0)\":\($0)" }.joined(separator: ",\n") + ",ID}",
    ]

    /// It is answered with its `id`, once, and the rest of the frame is read.
    @Test(arguments: beyond)
    func refusesWhatExceedsALimitWithItsID(object: String) throws {
        let identified = object.replacing("ID", with: #""id" : "mine""#)
        let answers = try answers(to: [identified + #"{"op":"ping","id":2}"#], 2)
        #expect(answers[0].hasPrefix(#"{"op":"error","id":"mine","code":"bad-request","#))
        #expect(answers[1] == #"{"op":"pong","id":2}"#)
    }

    @Test(arguments: ["true", "[1]", "{}"])
    func rejectsIDsOfOtherTypes(id: String) throws {
        let answer = try answers(to: [#"{"op":"ping","id":\#(id)}"#], 1)[0]
        #expect(answer.hasPrefix(#"{"op":"error","code":"bad-request","message":"id: "#))
    }

    /// The broker holds an `id` until the command is answered, which may take minutes.
    @Test(arguments: ["publish", "subscribe", "ping"])
    func limitsTheLengthOfIDs(operation: String) throws {
        func frame(_ length: Int) -> String {
            let id = String(repeating: "x", count: length)
            return #"{"op":"\#(operation)","id":"\#(id)","topic":"a","filter":"a","data":1}"#
        }
        let answers = try answers(to: [frame(1024), frame(1025)], operation == "subscribe" ? 3 : 2)
        #expect(answers.contains { $0.contains(#","id":"xxxx"#) })
        #expect(answers.contains(#"{"op":"error","code":"bad-request","message":"id: expected at most 1024 bytes."}"#))
    }

    /// What a client has sent comes back in part only.
    @Test(arguments: [#""op":"TEXT""#, #""op":"subscribe","filter":"a","since":"TEXT""#])
    func repeatsOnlyAPartOfALongText(members: String) throws {
        let text = String(repeating: "-", count: 1_000_000)
        let answer = try answers(to: ["{\(members.replacing("TEXT", with: text))}"], 1)[0]
        #expect(answer.contains("found") && answer.utf8.count < 5000)
    }

    /// A frame, and the answer to each of its lines.
    static let frames: [(String, [String])] = [
        ("{\"op\":\"ping\",\"id\":1}\n{\"op\":\"ping\",\"id\":2}\n", ["pong 1", "pong 2"]),
        (#"{"op":"ping","id":1}{"op":"ping","id":2}"#, ["pong 1", "pong 2"]),
        ("{\"op\":\"ping\",\n\"id\":1}", ["pong 1"]),
        ("", ["error"]), (" \n", ["error"]), ("[]", ["error"]), ("5", ["error"]),
        ("{\"op\":\"ping\",\"id\":1}\nnonsense\n{\"op\":\"ping\",\"id\":2}", ["pong 1", "error", "pong 2"]),
        ("{\"op\":\"ping\"\n{\"op\":\"ping\",\"id\":2}", ["error", "pong 2"]),
        ("\n\n{\"op\":\"ping\",\"id\":1,\"id\":1}\n{\"op\":\"ping\",\"id\":2}", ["error", "pong 2"]),
    ]

    @Test(arguments: frames)
    func aFrameMayHoldSeveralCommands(frame: String, expected: [String]) throws {
        let stub = try ExchangeHarness().connectJSON()
        try stub.send(frame)
        var found: [String] = []
        let last = try stub.ask(#"{"op":"ping","id":99}"#, id: 99)
        for notice in last.dropLast() { found.append(notice.op == "pong" ? "pong \(notice.id ?? 0)" : notice.op ?? "") }
        // The end of a broken object is unknown, but the next line is not.
        let isCut = frame.hasPrefix("{\"op\":\"ping\"\n")
        #expect(isCut ? found.first == "error" : found == expected)
    }

    @Test func aBinaryFrameClosesTheConnection() throws {
        let stub = try ExchangeHarness().connectJSON()
        try stub.send("{}", .binary)
        #expect(try stub.frame()?.payload.prefix(2) == [0x03, 0xEB], "1003")
    }

    @Test func subscribesToAllFiltersOrNone() throws {
        var settings = Settings()
        settings.limits.subscriptionsPerClient = 3
        settings.access.anonymous.subscribe = ["a/#"]
        let harness = try ExchangeHarness(settings: settings)
        let stub = try harness.connectJSON()
        func code(_ filters: String, _ id: Int) throws -> String? {
            let command = #"{"op":"subscribe","id":\#(id),"filter":[\#(filters)],"snapshot":false}"#
            return try stub.ask(command, id: id).last?.code
        }
        #expect(try code(#""a/1","b""#, 1) == "forbidden")
        #expect(try code(#""a/1","a/2","a/3","a/4""#, 2) == "limit-exceeded")
        #expect(harness.counters[0].subscriptions.current == 0)
        #expect(try code(#""a/1","a/2","a/1""#, 3) == nil)
        #expect(harness.counters[0].subscriptions.current == 2)
        #expect(try code(#""a/1","a/3""#, 4) == nil, "one of them was there before")
        #expect(try code(#""a/4""#, 5) == "limit-exceeded")
        #expect(try stub.ask(#"{"op":"unsubscribe","id":6,"filter":["a/1","a/9"]}"#, id: 6).last?.code == "not-found")
        #expect(harness.counters[0].subscriptions.current == 3 && harness.counters[0].subscriptionLimit.current == 2)
    }

    /// A list that is longer than a client may have filters is refused, whatever is in it; one filter twice is one
    /// filter.
    @Test func readsAListOfFiltersAsASet() throws {
        var settings = Settings()
        settings.limits.subscriptionsPerClient = 3
        let harness = try ExchangeHarness(settings: settings)
        let stub = try harness.connectJSON()
        for (id, operation) in ["subscribe", "unsubscribe"].enumerated() {
            let long = #"{"op":"\#(operation)","id":\#(id),"filter":["a","a","a","a"]}"#
            #expect(try stub.ask(long, id: id).last?.code == "limit-exceeded")
        }
        let answers = try stub.ask(#"{"op":"subscribe","id":8,"filter":["a","b","a"],"snapshot":false}"#, id: 8)
        #expect(answers.last?.code == nil)
        let then = try stub.ask(#"{"op":"unsubscribe","id":9,"filter":["a","b","a"]}"#, id: 9)
        #expect(then.map(\.op) == ["live", "live", "ok"])
        #expect(harness.counters[0].subscriptions.current == 0 && harness.counters[0].subscriptionLimit.current == 2)
    }

    /// More commands than one turn has time for, including publications and one invalid command.
    @Test func answersALongFrameInOrder() throws {
        let harness = try ExchangeHarness()
        let stub = try harness.connectJSON()
        let lines = (0..<3500).map { id in
            id % 100 == 7
                ? #"{"op":"publish","id":\#(id),"topic":"a","data":\#(id)}"# : #"{"op":"ping","id":\#(id)}"#
        }
        try stub.send((lines + ["nonsense"]).joined(separator: "\n"))
        try stub.send(#"{"op":"ping","id":3500}"#)
        var answered: [Int] = []
        var errors = 0
        while answered.last != 3500 {
            let notice = try Notice(json: try #require(try stub.frame()).payload)
            if let id = notice.id { answered.append(id) } else { errors += 1 }
        }
        // A publication is answered when its turn has ended.
        let pings = answered.filter { $0 % 100 != 7 }
        #expect(pings == pings.sorted() && Set(answered).count == 3501 && errors == 1)
        #expect(
            harness.published().map { String(decoding: $0.payload, as: UTF8.self) }
                == lines.indices.filter { $0 % 100 == 7 }.map(String.init))
        #expect(harness.counters[0].heldFrames.current == 1)
    }

    /// A filter costs as much as several commands, and credentials cost more.
    @Test(arguments: [
        (#"{"op":"subscribe","id":1,"filter":[\#((0..<300).map { #""f/\#($0)""# }.joined(separator: ","))]}"#, 1),
        (#"{"op":"authenticate","token":"bk_no"}"#, 20),
    ])
    func dearCommandsEndATurnSooner(command: String, count: Int) throws {
        let harness = try ExchangeHarness()
        let stub = try harness.connectJSON()
        let lines = Array(repeating: command, count: count) + [#"{"op":"ping","id":9}"#]
        try stub.send(lines.joined(separator: "\n"))
        while try stub.receive().id != 9 {}
        #expect(harness.counters[0].heldFrames.current == 1)
    }

    /// The commands of a frame wait while the client does not read the answers, and continue when it does.
    @Test func aLongFrameWaitsWhileTheClientDoesNotRead() throws {
        var settings = Settings()
        settings.limits.pending = 16 << 10
        let harness = try ExchangeHarness(settings: settings)
        let stub = try harness.connectJSON(sendBuffer: 4096)
        try stub.send((0..<2000).map { #"{"op":"x","id":\#($0)}"# }.joined(separator: "\n"))
        // It has been read when another client, of the same reactor, is answered twice.
        let other = try harness.connectJSON()
        for id in 0..<2 { _ = try other.ask(#"{"op":"ping","id":\#(id)}"#, id: id) }
        #expect(harness.counters[0].errors.current < 2000)
        for id in 0..<2000 { #expect(try Notice(json: try #require(try stub.frame()).payload).id == id) }
    }

    /// The CLOSE is answered after everything before it.
    @Test func answersALongFrameBeforeTheClose() throws {
        let stub = try ExchangeHarness().connectJSON()
        try stub.send((0..<2500).map { #"{"op":"ping","id":\#($0)}"# }.joined(separator: "\n"))
        try stub.write(FrameEncoder.closeFrame(.normal, reason: "", maskingKey: MaskingKey(1, 2, 3, 4)))
        for id in 0..<2500 { #expect(try Notice(json: try #require(try stub.frame()).payload).id == id) }
        #expect(try stub.frame()?.opcode == 8)
    }

    @Test func refusesForbiddenAndExcessivePublications() throws {
        var settings = Settings()
        settings.limits.publishRate = 3
        settings.access.anonymous.publish = ["a/#", "$SYS/#"]
        let harness = try ExchangeHarness(settings: settings)
        let stub = try harness.connectJSON()
        let topics = ["a/1", "b", "$SYS/x", "$SYS", "a/2", "a/3", "a/4"]
        var codes: [String?] = []
        for (id, topic) in topics.enumerated() {
            codes.append(
                try stub.ask(#"{"op":"publish","id":\#(id),"topic":"\#(topic)","data":1}"#, id: id).last?.code)
        }
        #expect(codes == [nil, "forbidden", "forbidden", "forbidden", nil, nil, "rate-limited"])
        #expect(harness.published().map(\.topic.name) == ["a/1", "a/2", "a/3"])
        #expect(harness.counters[0].rateLimited.current == 1 && harness.counters[0].errors.current == 4)
    }

    @Test func reportsTheOutcomeOfAPublication() throws {
        let gate = GateStore()
        let stub = try ExchangeHarness(gate).connectJSON()
        func publish(_ id: Int, _ members: String) throws -> Notice? {
            try stub.ask(#"{"op":"publish","id":\#(id),"topic":"a","data":"x"\#(members)}"#, id: id).last
        }
        let routed = try publish(1, "")
        #expect(routed?.seq == 1 && routed?.stored == false)
        let stored = try publish(2, #","retain":true,"ifSeq":0"#)
        #expect(stored?.seq == 2 && stored?.stored == true)
        #expect(try publish(3, #","retain":true,"ifSeq":0"#)?.code == "conflict")
        #expect(try publish(4, #","retain":true,"ifSeq":2"#)?.seq == 3)
        #expect(try publish(5, #","retain":true,"ack":"routed""#)?.stored == false)
        gate.fail(with: .full)
        #expect(try publish(6, #","retain":true"#)?.code == "storage-full")
        gate.fail(with: .limit("retained.maximum_bytes"))
        #expect(try publish(7, #","retain":true"#)?.code == "limit-exceeded")
    }
}
