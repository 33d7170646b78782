import Foundation
import Testing

@testable import Broker
@testable import WSTransport

@Suite("§3.3: a message as JSON, as lines and as events")
struct MessageObjectTests {
    struct Form: Sendable, CustomTestStringConvertible {
        let payload: [UInt8]
        let kind: Message.Kind
        var type: String?
        var isSnapshot = false
        var isRetained = false
        var isExpiry = false
        var expiry: Int64 = 0
        /// What follows `"time":9`.
        let members: String
        var testDescription: String { members }

        init(_ payload: String, _ kind: Message.Kind, type: String? = nil, isSnapshot: Bool = false, _ members: String)
        {
            self.init(Array(payload.utf8), kind, type: type, isSnapshot: isSnapshot, members)
        }

        init(
            _ payload: [UInt8], _ kind: Message.Kind, type: String? = nil, isSnapshot: Bool = false, _ members: String
        ) {
            self.payload = payload
            self.kind = kind
            self.type = type
            self.isSnapshot = isSnapshot
            self.members = members
        }

        /// Set as the retained value, or live for a time.
        func marked(isRetained: Bool = true, isExpiry: Bool = false, expiry: Int64 = 0) -> Form {
            var form = self
            (form.isRetained, form.isExpiry, form.expiry) = (isRetained, isExpiry, expiry)
            return form
        }

        func message() throws -> Message {
            Message(
                topic: try topic("a/\"b\""), payload: payload, kind: kind, contentType: type, isRetained: isRetained,
                seq: 7, time: 9, expiry: expiry, nature: isExpiry ? .expiry : .plain)
        }
    }

    static let forms = [
        Form("21.5", .json, #","data":21.5"#),
        Form(#"{"a":[1,null,"x"]}"#, .json, #","data":{"a":[1,null,"x"]}"#),
        Form("null", .json, #","data":null"#),
        Form("", .json, #","data":"""#),
        Form("21.5", .text, #","data":"21.5""#),
        Form("a \"quoted\" line\n\u{1}é", .text, #","data":"a \"quoted\" line\n\u0001é""#),
        Form("", .text, #","data":"""#),
        Form([0, 0xFF, 0x10], .binary, #","encoding":"base64","data":"AP8Q""#),
        Form([], .binary, #","encoding":"base64","data":"""#),
        Form("text", .binary, #","encoding":"base64","data":"dGV4dA==""#),
        Form([1], .binary, type: "image/png", #","type":"image/png","encoding":"base64","data":"AQ==""#),
        Form("x", .text, type: "text/x; a=\"b\"", #","type":"text/x; a=\"b\"","data":"x""#),
        Form("x", .text, isSnapshot: true, #","retained":true,"data":"x""#),
        Form("[]", .json, type: "a/b", isSnapshot: true, #","retained":true,"type":"a/b","data":[]"#),
        Form("x", .text, #","retain":true,"data":"x""#).marked(),
        Form("1", .json, #","retain":true,"expires":50,"data":1"#).marked(expiry: 50),
        Form("x", .text, isSnapshot: true, #","retained":true,"expires":50,"data":"x""#).marked(expiry: 50),
        Form("x", .text, #","expires":50,"data":"x""#).marked(isRetained: false, expiry: 50),
        Form("", .text, #","removed":true"#).marked(),
        Form([], .binary, type: "a/b", #","removed":true"#).marked(expiry: 50),
        Form([], .binary, #","removed":true,"expired":true"#).marked(isExpiry: true),
    ]

    @Test(arguments: forms)
    func writesTheObjectOfTheContract(_ form: Form) throws {
        let message = try form.message()
        let common = #""topic":"a/\"b\"","seq":7,"time":9"# + form.members + "}"
        func encode(_ hasOperation: Bool) -> String {
            let object = MessageObject.encode(message, hasOperation: hasOperation, isSnapshot: form.isSnapshot)
            return String(decoding: object, as: UTF8.self)
        }
        #expect(encode(false) == "{" + common)
        #expect(encode(true) == #"{"op":"message","# + common)
        let isJSON = JSONScanner.validate(Array(encode(true).utf8).span)
        #expect(isJSON)
    }

    /// Also if it has the topic or the time of earlier messages.
    @Test(arguments: [true, false])
    func doesNotDependOnEarlierMessages(hasOperation: Bool) throws {
        let names = ["a/b", "plant/5/line/3/\"temperature\"", "plant/5/line/4/temperature"].map { String($0) }
        let topics = try names.map { try topic($0) }
        var (writer, common) = (JSONWriter(), MessageObject.Repeated())
        for (seq, (place, time)) in [
            (0, 9), (0, 9), (0, 10), (1, 10), (1, 10), (1, 10), (2, 11), (1, 10), (0, -1), (0, 0),
        ]
        .enumerated() {
            let form = Self.forms[seq]
            let message = Message(
                topic: topics[place], payload: form.payload, kind: form.kind, contentType: form.type,
                seq: UInt64(seq), time: Int64(time))
            writer.removeAll()
            MessageObject.encode(message, hasOperation: hasOperation, by: &writer, &common)
            #expect(writer.bytes == MessageObject.encode(message, hasOperation: hasOperation, isSnapshot: false))
        }
    }

    /// Frames of one turn; frames of one topic have much in common.
    @Test(arguments: [true, false])
    func framesDoNotDependOnEarlierMessages(hasOperation: Bool) throws {
        let counters = ReactorCounters()
        let reactor = try Reactor(index: 0, counters: counters, remote: try Remote(), backend: .epoll)
        let lane = Lane(number: UInt8(reactor.makeLane()))
        let form = JSONForm(hasOperation: hasOperation)
        let topic = try topic("plant/5/line/3/temperature")
        for (seq, place) in (0..<6 * Self.forms.count).map({ ($0, $0 / 2 % Self.forms.count) }) {
            let given = Self.forms[place]
            let message = Message(
                topic: topic, payload: given.payload, kind: given.kind, contentType: seq % 2 == 0 ? given.type : nil,
                isRetained: seq % 6 == 5, seq: UInt64(seq) * UInt64(seq), time: Int64(seq / 4))
            let segment = try #require(form.encode(message, into: reactor, lane: lane))
            let bytes = Array(
                reactor.chunk(of: segment).bytes(from: Int(segment.offset), count: Int(segment.count)))
            let object = MessageObject.encode(message, hasOperation: hasOperation, isSnapshot: false)
            #expect(bytes == FrameEncoder.frame(.text, object), "\(seq)")
        }
    }

    @Test(arguments: forms)
    func writesLinesAndEvents(_ form: Form) throws {
        let message = try form.message()
        let object = MessageObject.encode(message, hasOperation: false, isSnapshot: form.isSnapshot)
        #expect(LinesForm(isChunked: true).text(of: message, isSnapshot: form.isSnapshot) == object + [10])
        let event = EventsForm(epoch: 12, isChunked: true).text(of: message, isSnapshot: form.isSnapshot)
        // Retained values come in the order of their topics, so their numbers are no position to resume from.
        let id = form.isSnapshot ? "" : "id: 12-7\n"
        #expect(event == Array("\(id)data: ".utf8) + object + [10, 10])
    }

    @Test(arguments: [true, false])
    func omitsChunksForHTTP10(hasEvents: Bool) throws {
        func form(isChunked: Bool) -> any TextForm & WireForm {
            hasEvents ? EventsForm(epoch: 12, isChunked: isChunked) : LinesForm(isChunked: isChunked)
        }
        let message = try #require(Self.forms.first).message()
        let reactor = try Reactor(index: 0, counters: ReactorCounters(), remote: Remote())
        func bytes(_ form: any TextForm & WireForm) -> [UInt8] {
            guard let segment = form.encode(message, into: reactor, lane: Lane(number: 0)) else { return [] }
            return Array(reactor.chunk(of: segment).bytes(from: Int(segment.offset), count: Int(segment.count)))
        }
        let text = form(isChunked: false).text(of: message, isSnapshot: false)
        #expect(bytes(form(isChunked: false)) == text)
        #expect(bytes(form(isChunked: true)) == HTTPStream.chunk(text))
    }

    /// JSON may be published with line ends between its tokens; a line, or an event's data, contains none.
    @Test(arguments: ["{\n  \"a\": 1\n}", "[1,\r\n2]\n", "\n1", "[\"\\n\",\r\"x\"]"])
    func removesLineEndsFromPayloads(payload: String) throws {
        let message = Message(
            topic: try topic("a"), payload: Array(payload.utf8), kind: .json, seq: 7, time: 9)
        for hasOperation in [true, false] {
            let object = MessageObject.encode(message, hasOperation: hasOperation, isSnapshot: false)
            #expect(!object.contains(10) && !object.contains(13))
            let parsed = try #require(try JSONSerialization.jsonObject(with: Data(object)) as? [String: Any])
            let original = try JSONSerialization.jsonObject(with: Data(payload.utf8), options: .fragmentsAllowed)
            #expect((parsed["data"] as? NSObject)?.isEqual(original) == true)
        }
        let line = LinesForm(isChunked: true).text(of: message, isSnapshot: false)
        #expect(line.filter { $0 == 10 }.count == 1)
    }

    @Test func sendsOnlyBinaryPayloadsInBinaryFrames() throws {
        for (kind, opcode) in [(Message.Kind.text, Opcode.text), (.json, .text), (.binary, .binary)] {
            #expect(Message(topic: try topic("a"), payload: [], kind: kind, seq: 1, time: 1).opcode == opcode)
        }
    }
}
