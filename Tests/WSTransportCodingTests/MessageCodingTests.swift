import Foundation
import Testing
import WSTransport
import WSTransportCoding

@Suite("ws.Message: json() and pack()", .timeLimit(.minutes(10)))
struct MessageCodingTests {
    private struct Note: Codable, Equatable {
        var title: String
        var stars: Int?
        var when: Date?
        var content: Data?
    }

    @Test func jsonReplacesTheBody() throws {
        let message = ws.Message("something else, and longer than what comes")
        _ = message.read(5)
        try message.json(Note(title: "a/\"b\" ü", stars: 5))
        #expect(message.type == ws.TEXT && message.data == .text(#"{"stars":5,"title":"a/\"b\" ü"}"#))
        try message.json([1, 2])
        #expect(message.read(2) == Array("[1".utf8), "the cursor is at the start")
        #expect(try message.json(as: [Int].self) == [1, 2], "whatever has been read")
        #expect(message.readAll() == Array(",2]".utf8), "and stays")
        #expect(try ws.Message(type: ws.PING).json(as: Int.self) == nil)
        let numbers: [Double]? = try message.json()
        #expect(numbers == [1, 2])
        for (value, text) in [(nil, "null"), (true, "true")] as [(Bool?, String)] {
            try message.json(value)
            #expect(message.body == Array(text.utf8))
        }
    }

    @Test func jsonWritesDatesAndBytesAsJavaScriptDoes() throws {
        let message = ws.Message(type: ws.TEXT)
        try message.json(
            Note(title: "", when: Date(timeIntervalSince1970: 1_769_860_800.25), content: Data([1, 2, 255])))
        let text = #"{"content":"AQL/","title":"","when":"2026-01-31T12:00:00.250Z"}"#
        #expect(message.data == .text(text))
        #expect(try message.json(as: Note.self)?.when == Date(timeIntervalSince1970: 1_769_860_800.25))
        message.body = Array(#"["2026-01-31T12:00:00Z","2026-01-31T13:00:00+01:00"]"#.utf8)
        let dates = try message.json(as: [Date].self)
        #expect(dates == Array(repeating: Date(timeIntervalSince1970: 1_769_860_800), count: 2))
    }

    @Test(arguments: [
        ("", ""), ("{", ""), ("[1,2", ""), (#"{"title":1}"#, "title"), (#"{}"#, ""), ("\u{FFFD}", ""), ("{} {}", ""),
        (#"{"title":"","stars":1.5}"#, ""), (#"{"title":"","when":"yesterday"}"#, "when"),
        (#"{"title":"","content":"?"}"#, "content"), ("null", ""), ("NaN", ""), (#"{"title":"\ud800"}"#, ""),
    ])
    func reportsThePathOfABadValue(text: String, place: String) {
        let message = ws.Message(text)
        let error = #expect(throws: DecodingError.self) { try message.json(as: Note.self) }
        #expect(error?.place == place && error?.context.debugDescription.isEmpty == false)
        #expect(message.body == Array(text.utf8))
    }

    /// Foundation has the same description for all of these.
    @Test(arguments: [
        ("", "At byte 0: expected a value, found the end."),
        (" {", "At byte 2: expected a name in quotes, found the end."),
        ("[1,2", "At byte 4: expected \",\" or \"]\", found the end."),
        ("[1 2]", "At byte 3: expected \",\" or \"]\", found 2."),
        ("{\"a\" 1}", "At byte 5: expected \":\", found 1."),
        ("{\"a\":1;}", "At byte 6: expected \",\" or \"}\", found ;."),
        ("{\"a\":}", "At byte 5: expected a value, found }."),
        ("{a:1}", "At byte 1: expected a name in quotes, found a."),
        ("[01]", "At byte 1: a number that begins with 0."), ("[1.]", "At byte 3: expected a digit, found ]."),
        ("[-]", "At byte 2: expected a digit, found ]."), ("[1e]", "At byte 3: expected a digit, found ]."),
        ("[\"a\nb\"]", "At byte 3: expected no control character in a string, found \\n."),
        ("[\"\\x\"]", "At byte 3: expected an escape, found x."),
        ("[\"\\u12\"]", "At byte 6: expected four hexadecimal digits, found \\\"."),
        ("[\"\\ud800\"]", "At byte 2: half of a surrogate pair."),
        ("[\"\\ud800\\u0041\"]", "At byte 2: half of a surrogate pair."),
        ("{} {}", "At byte 3: expected the end behind the value, found {."),
        ("[\"a", "At byte 3: expected the end of a string, found the end."),
        ("[tru]", "At byte 1: expected a value, found t."), ("[nulll]", "At byte 5: expected \",\" or \"]\", found l."),
        (String(repeating: "[", count: 600), "At byte 512: more than 512 arrays and objects within one another."),
        (
            String(repeating: "{\"a\":", count: 513),
            "At byte 2560: more than 512 arrays and objects within one another."
        ),
    ])
    func explainsInvalidJSON(text: String, explanation: String) {
        let error = #expect(throws: DecodingError.self) {
            if text.contains("\"") { _ = try ws.Message(text).json(as: [String].self) }
            _ = try ws.Message(text).json(as: [Double].self)
        }
        #expect(error?.context.debugDescription == explanation)
    }

    @Test func explainsANumberThatDoesNotFit() {
        let error = #expect(throws: DecodingError.self) { try ws.Message("[300]").json(as: [UInt8].self) }
        #expect(
            error?.context.debugDescription
                == "It is JSON, but has a number that does not fit in the type that is expected.")
    }

    @Test func explainsInvalidUTF8() {
        let message = ws.Message(Array("[\"a".utf8) + [0xFF] + Array("\"]".utf8))
        let error = #expect(throws: DecodingError.self) { try message.json(as: [String].self) }
        #expect(error?.context.debugDescription == "At byte 1: a string that is not UTF-8.")
    }

    @Test func aFailedEncodingKeepsTheBody() {
        let message = ws.Message("before")
        #expect(throws: EncodingError.self) { try message.json([Double.nan]) }
        #expect(throws: EncodingError.self) { try message.pack([UInt128.max]) }
        #expect(message.body == Array("before".utf8))
    }

    /// As deep as allowed, on any thread: Foundation's limit is the same as ours.
    @Test func limitsDepth() throws {
        let message = ws.Message(String(repeating: "[", count: 100_000))
        #expect(throws: DecodingError.self) { try message.json(as: MessagePackValue.self) }
        message.body = [UInt8](repeating: 0x91, count: 100_000)
        #expect(throws: DecodingError.self) { try message.pack(as: MessagePackValue.self) }
    }

    @Test func packReplacesTheBody() throws {
        let message = ws.Message([1, 2, 3])
        _ = message.read(2)
        try message.pack(Note(title: "a", stars: 300))
        #expect(
            message.type == ws.BINARY && message.body == PackVector.bytes("82 a57469746c65 a161 a57374617273 cd012c"))
        #expect(message.read(1) == [0x82])
        #expect(try message.pack(as: Note.self) == Note(title: "a", stars: 300))
        #expect(try ws.Message().pack(as: Int.self) == nil)
        message.body = []
        #expect(throws: DecodingError.self) { try message.pack(as: Int?.self) }
        var decoder = MessagePackDecoder()
        decoder.maximumDepth = 1
        try message.pack([[1]])
        #expect(throws: DecodingError.self) { try message.pack(as: [[Int]].self, with: decoder) }
    }

    /// Whole messages on a stream: each flag, and a body that is larger than a frame's short lengths.
    @Test(arguments: [(true, true), (true, false), (false, true), (false, false)])
    func roundTripsOverAStream(masked: Bool, compress: Bool) async throws {
        let stream = MemoryStream()
        let notes = (0..<2000).map { (index: Int) in
            Note(title: "number \(index)", stars: index, when: Date(timeIntervalSince1970: 0.5))
        }
        let packed = ws.Message(type: ws.BINARY, masked: masked, compress: compress)
        try packed.pack(notes)
        try await packed.sendTo(stream)
        let text = ws.Message(type: ws.TEXT, masked: masked, compress: compress)
        try text.json(notes)
        try await text.sendTo(stream)
        let first = ws.Message()
        try await first.readFrom(stream)
        #expect(try first.pack(as: [Note].self) == notes && first.type == ws.BINARY && first.compress == compress)
        let second = ws.Message()
        try await second.readFrom(stream)
        #expect(try second.json(as: [Note].self) == notes && second.type == ws.TEXT && second.masked == masked)
    }

    /// A server that changes each message in its own format; bad input costs its sender the connection, with a reason.
    @Test func roundTripsBetweenSockets() async throws {
        let server = HTTPServer(
            port: 0,
            handler: ws.upgrade { socket in
                for try await message in socket.messages {
                    let answer = ws.Message(type: message.type)
                    do {
                        if message.type == ws.TEXT {
                            guard var note = try message.json(as: Note.self) else { continue }
                            note.stars = (note.stars ?? 0) + 1
                            try answer.json(note)
                            try await socket.send(String(decoding: answer.body, as: UTF8.self))
                        } else {
                            // On the connection's own thread, to the limit of depth.
                            try answer.pack(try message.pack(as: MessagePackValue.self))
                            try await socket.send(answer.body)
                        }
                    } catch let error as DecodingError {
                        try socket.close(4400, reason: error.context.debugDescription)
                    }
                }
            })
        try server.start()
        var options = ConnectOptions()
        // The task of a handler may wait for long where many tests run.
        options.handshakeTimeout = .seconds(300)
        let socket = try await ws.open("ws://127.0.0.1:\(server.port)/", options: options)
        let message = ws.Message(type: ws.TEXT)
        try message.json(Note(title: "grüß", stars: 41, content: Data([0, 1])))
        try await socket.send(String(decoding: message.body, as: UTF8.self))
        let answer = try #require(try await socket.receive())
        #expect(try answer.json(as: Note.self) == Note(title: "grüß", stars: 42, content: Data([0, 1])))
        let deep = [UInt8](repeating: 0x91, count: 511) + [0x80]
        try await socket.send(deep)
        #expect(try await socket.receive()?.body == deep)
        try await socket.send([0x92, 0x01])
        let reason = "At byte 0: the input ends within an array of 2: 1 bytes are left."
        await #expect(throws: WS.Error.closed(4400, reason: reason)) { try await socket.receive() }
        await server.stop()
    }
}
