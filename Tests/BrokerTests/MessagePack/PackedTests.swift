import Foundation
import Testing

@testable import Broker
@testable import WSTransport

@Suite("§3.2: broker.v1.msgpack is broker.v1.json in MessagePack")
struct PackedTests {
    private static func packed(_ json: String) -> [UInt8]? {
        var writer = PackedWriter()
        return writer.value(json: Array(json.utf8).span) ? writer.bytes : nil
    }

    private static func json(_ packed: [UInt8]) throws -> String {
        String(decoding: try PackedReader.json(of: packed.span), as: UTF8.self)
    }

    private static func bytes(_ digits: String) -> [UInt8] {
        let digits = Array(digits.utf8.filter { $0 != 0x20 })
        return stride(from: 0, to: digits.count - 1, by: 2).map {
            UInt8(String(decoding: digits[$0...$0 + 1], as: UTF8.self), radix: 16) ?? 0
        }
    }

    /// JSON, and its bytes by the format's table.
    @Test(arguments: [
        ("null", "c0"), ("true", "c3"), ("false", "c2"), ("0", "00"), ("127", "7f"), ("128", "cc80"), ("255", "ccff"),
        ("256", "cd0100"), ("65535", "cdffff"), ("65536", "ce00010000"), ("4294967296", "cf0000000100000000"),
        ("18446744073709551615", "cfffffffffffffffff"), ("-1", "ff"), ("-32", "e0"), ("-33", "d0df"), ("-128", "d080"),
        ("-129", "d1ff7f"), ("-32769", "d2ffff7fff"), ("-2147483649", "d3ffffffff7fffffff"),
        ("1.5", "cb3ff8000000000000"),
        ("18446744073709551616", "cb43f0000000000000"), ("-0", "cb8000000000000000"), ("1e2", "cb4059000000000000"),
        (#""""#, "a0"), (#""aé""#, "a361c3a9"), (#""\u0041\n""#, "a2410a"), ("[]", "dc0000"),
        ("[1,\"a\"]", "dc000201a161"),
        ("{}", "de0000"), (#"{ "a" : [ ] }"#, "de0001a161dc0000"), (" 1 ", "01"),
    ])
    func writesJSONAsMessagePack(json: String, digits: String) { #expect(Self.packed(json) == Self.bytes(digits)) }

    @Test(arguments: ["", "1 2", "[1", "{\"a\"}", "{\"a\":}", "{1:2}", "[1,]", "nul", "\"a", "[", "01", "{\"a\":1,}"])
    func writesNothingForInvalidJSON(json: String) {
        var writer = PackedWriter()
        writer.bool(true)
        #expect(!writer.value(json: Array(json.utf8).span) && writer.bytes == [0xC3])
    }

    @Test func writesStringsBytesAndContainersOfAnySize() throws {
        for count in [31, 32, 255, 256, 65535, 65536] {
            var writer = PackedWriter()
            writer.string(String(repeating: "x", count: count))
            writer.binary([UInt8](repeating: 1, count: count).span)
            let text = count < 32 ? 1 : count < 256 ? 2 : count < 65536 ? 3 : 5
            #expect(writer.bytes.count == 2 * count + text + (count < 256 ? 2 : count < 65536 ? 3 : 5))
            let list = "[" + String(repeating: "1,", count: count - 1) + "1]"
            let packed = try #require(Self.packed("{\"a\":\(list),\"b\":2}"))
            #expect(try Self.json(packed) == "{\"a\":\(list),\"b\":2}", "\(count) items")
        }
        #expect(Self.packed(String(repeating: "[", count: 500) + String(repeating: "]", count: 500)) == nil)
    }

    /// Refused commands, and the `id` that their answers carry.
    @Test(arguments: [
        // Data that is not finite, an ext, bytes inside, and nesting.
        ("82 a26964 07 a464617461 cb7ff8000000000000", "7"), ("82 a464617461 ca7f800000 a26964 a178", #""x""#),
        ("82 a464617461 d4 01 00 a26964 cd0100", "256"), ("82 a464617461 c8 0001 05 00 a26964 07", "7"),
        ("82 a464617461 91 c401 00 a26964 d0ff", "-1"), ("83 a161 81 01 a162 a162 92 c0 c3 a26964 07", "7"),
        ("82 a464617461 " + String(repeating: "91", count: 5000) + "c0 a26964 07", "7"),
        // Keys that are not strings, and more than one map.
        ("82 01 02 a26964 07", "7"), ("81 a26964 07 c0", "7"), ("de0001 a26964 d9027879", #""xy""#),
        // Ids that are none, and what is malformed before it.
        ("82 a26964 c0 a464617461 c1", nil), ("81 a26964 c401 00", nil), ("82 a464617461 c1 a26964 07", nil),
        ("82 a464617461 dd ffffffff a26964 07", nil), ("82 a464617461 c6 ffffffff", nil), ("", nil), ("07", nil),
        ("81 a26964 cb7ff8000000000000", nil), ("81 a26964", nil),
    ])
    func findsTheIdOfARefusedCommand(digits: String, id: String?) {
        let found = PackedReader.identifier(of: Self.bytes(digits).span)
        #expect(found.map { String(decoding: $0, as: UTF8.self) } == id)
    }

    /// Commands in other encodings than ours, and their meaning.
    @Test(arguments: [
        ("81 a26f70 a470696e67", #"{"op":"ping"}"#), ("de0001 d9026f70 da000470696e67", #"{"op":"ping"}"#),
        ("df00000001 a2 6964 d3ffffffffffffffff", #"{"id":-1}"#), ("81 a161 ca3fc00000", #"{"a":1.5}"#),
        ("81 a161 d0ff", #"{"a":-1}"#), ("81 a161 d17fff", #"{"a":32767}"#), ("81 a161 92 c0 80", #"{"a":[null,{}]}"#),
        ("81 a464617461 c402 00ff", #"{"encoding":"base64","data":"AP8="}"#),
        ("81 a464617461 c50001 00", #"{"encoding":"base64","data":"AA=="}"#),
        ("81 a464617461 c600000000", #"{"encoding":"base64","data":""}"#),
        ("81 a86661726577656c6c 81 a464617461 c401 61", #"{"farewell":{"encoding":"base64","data":"YQ=="}}"#),
        ("80", "{}"), ("81 a0 a122", #"{"":"\""}"#),
    ])
    func readsCommands(digits: String, json: String) throws { #expect(try Self.json(Self.bytes(digits)) == json) }

    @Test(arguments: [
        ("", "expected a map", 0), ("01", "expected a map", 0), ("91 80", "expected a map", 0),
        ("80 80", "expected one map and nothing else", 1), ("81", "it ends too early", 1),
        ("81 a1", "it ends too early", 2),
        ("81 01 01", "expected a string", 1), ("81 a1ff 01", "a string that is not UTF-8", 1),
        ("81 a161 a1ff", "a string that is not UTF-8", 3), ("81 a161 c1", "the byte c1 begins no item", 3),
        ("81 a161 d4 01 00", "an ext has no meaning here", 3), ("81 a161 c7 00 01", "an ext has no meaning here", 3),
        ("81 a161 c401 00", "bytes can only be data", 3),
        ("81 a161 81 a464617461 c401 00", "bytes can only be data", 9),
        ("81 a161 cb7ff0000000000000", "a number that is not finite", 3),
        ("81 a161 ca7fc00000", "a number that is not finite", 3),
        ("81 a161 dd 00ffffff", "it ends too early", 8), ("81 a161 cc", "it ends too early", 4),
        ("81 a464617461 c402 00", "it ends too early", 9),
    ])
    func reportsTheErrorAndItsOffset(digits: String, text: String, offset: Int) {
        let bytes = Self.bytes(digits)
        #expect(throws: PackedError(text: text, offset: offset)) { try PackedReader.json(of: bytes.span) }
    }

    @Test func hasTheDepthLimitOfJSON() throws {
        let most = JSONScanner.maximumDepth
        func nested(_ levels: Int) -> [UInt8] {
            [0x81, 0xA1, 0x61] + [UInt8](repeating: 0x91, count: levels - 1) + [0xC0]
        }
        #expect(try Self.json(nested(most)).utf8.count > most)
        #expect(throws: PackedError.self) { try PackedReader.json(of: nested(most + 1).span) }
        #expect(throws: PackedError.self) { try PackedReader.json(of: nested(1_000_000).span) }
    }

    /// Anything that is read and written again stays the same.
    @Test(arguments: 0..<50)
    func roundTripsRandomValues(seed: Int) throws {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<40 {
            let text = "{\"data\":\(Self.value(&random, depth: 0))}"
            let packed = try #require(Self.packed(text), "\(text)")
            let again = try Self.json(packed)
            #expect(Self.packed(again) == packed, "\(text)")
            let (first, second) = try (Self.object(text), Self.object(again))
            #expect(first == second, "\(text)")
        }
    }

    private static func object(_ json: String) throws -> NSDictionary {
        try #require(try JSONSerialization.jsonObject(with: Data(json.utf8)) as? NSDictionary)
    }

    private static func value(_ random: inout SeededGenerator, depth: Int) -> String {
        switch Int.random(in: 0..<(depth < 4 ? 9 : 7), using: &random) {
        case 0: return ["null", "true", "false"].randomElement(using: &random) ?? "null"
        case 1: return "\(Int64.random(in: .min ... .max, using: &random) >> Int64.random(in: 0..<63, using: &random))"
        case 2: return "\(UInt64.random(in: 0 ... .max, using: &random))"
        case 3: return "\(Double.random(in: -1e9...1e9, using: &random))"
        case 4, 5, 6:
            let length = [0, 1, 31, 32, 300].randomElement(using: &random) ?? 0
            let letters = (0..<length).map { _ in
                ["a", "é", "\\n", "\\\"", "😀", "\\u0001"].randomElement(using: &random) ?? ""
            }
            return "\"\(letters.joined())\""
        case 7:
            return "["
                + (0..<Int.random(in: 0..<20, using: &random)).map { _ in value(&random, depth: depth + 1) }
                .joined(separator: ",") + "]"
        default:
            return "{"
                + (0..<Int.random(in: 0..<6, using: &random)).map { "\"\($0)\":\(value(&random, depth: depth + 1))" }
                .joined(separator: " , ") + "}"
        }
    }

    // MARK: Sessions

    /// Every command and every answer, also refusals: both clients receive the same.
    private static let script = [
        #"{"op":"ping","id":1}"#, #"{"op":"ping","id":"x y"}"#, #"{"op":"ping","id":-7}"#, #"{"op":"ping","id":1.5}"#,
        #"{"op":"subscribe","id":2,"filter":["a/+","b/#"]}"#, #"{"op":"subscribe","id":3,"filter":"a/#/b"}"#,
        #"{"op":"subscribe","id":4,"filter":"c","snapshot":false,"echo":false,"slow":"latest"}"#,
        #"{"op":"publish","id":5,"topic":"a/1","data":"text"}"#,
        #"{"op":"publish","id":6,"topic":"a/1","data":{"x":[1,2.5,null,true,"é"]}}"#,
        #"{"op":"publish","id":7,"topic":"a/1","data":21,"retain":true}"#,
        #"{"op":"publish","id":8,"topic":"a/1","data":"","retain":true}"#,
        #"{"op":"publish","id":9,"topic":"a/2","data":"AP8=","encoding":"base64","type":"image/png"}"#,
        #"{"op":"publish","id":10,"topic":"b/x","data":1,"headers":{"n":["v","w"],"m":"é"},"replyTo":"r","correlation":"c"}"#,
        #"{"op":"publish","id":11,"topic":"b/x","data":1,"retain":true,"ifSeq":99}"#,
        #"{"op":"publish","id":12,"topic":"b/x","data":1,"key":"k"}"#,
        #"{"op":"publish","id":13,"topic":"b/x","data":2,"key":"k"}"#,
        #"{"op":"publish","id":14,"topic":"b/e","data":1,"ephemeral":true,"grace":1,"farewell":{"data":"Yg==","encoding":"base64"}}"#,
        #"{"op":"publish","id":15,"topic":"b/e","data":"","ephemeral":true}"#,
        #"{"op":"publish","topic":"a/+","data":1}"#,
        #"{"op":"publish","id":16,"topic":"a/1","data":1,"ack":"routed","ttl":60}"#,
        #"{"op":"publish","id":17,"data":1}"#,
        #"{"op":"publish","id":18,"topic":"q","data":"?","reply":true,"timeout":0.02}"#,
        #"{"op":"subscribe","id":19,"filter":"a/+","since":1}"#,
        #"{"op":"subscribe","id":20,"filter":"b/#","since":"-5"}"#,
        #"{"op":"subscribe","id":26,"filter":"gone","since":1}"#, #"{"op":"unsubscribe","id":21,"filter":"b/#"}"#,
        #"{"op":"unsubscribe","id":22,"filter":"nothing"}"#,
        #"{"op":"authenticate","id":23,"token":"t"}"#, #"{"op":"dance","id":24}"#, #"{"id":25}"#,
        #"{"op":"ping","id":[1]}"#,
    ]

    private static func told(_ isPacked: Bool) throws -> [NSDictionary] {
        let harness = try ExchangeHarness()
        let stub = try harness.connect { shard, socket in
            let client = shard.makeClient(.anonymous, peer: nil, protocolName: "")
            return JSONSession(shard: shard, socket: socket, client: client, isPacked: isPacked)
        }
        func receive() throws -> NSDictionary {
            let frame = try #require(try stub.frame())
            #expect(frame.opcode == (isPacked ? 2 : 1))
            let text = isPacked ? try json(frame.payload) : frame.text
            let object = NSMutableDictionary()
            for (key, value) in try Self.object(text) { if let key = key as? NSString { object[key] = value } }
            // Of each harness its own.
            for name in ["client", "epoch", "time", "expires"] where object[name] != nil { object[name] = "some" }
            return object
        }
        var told = [try receive()]
        func send(_ text: String) throws {
            guard isPacked else { return try stub.send(text) }
            let bytes = try #require(packed(text))
            try stub.write(FrameEncoder.frame(.binary, bytes, maskingKey: MaskingKey(1, 2, 3, 4)))
        }
        for (number, command) in script.enumerated() {
            try send(command)
            try send(#"{"op":"ping","id":"end \#(number)"}"#)
            repeat { told.append(try receive()) } while told.last?["id"] as? String != "end \(number)"
        }
        // Answers of the store, and errors about missing replies, arrive in any order.
        func has(_ id: Int, _ count: Int) -> Bool { told.filter { $0["id"] as? Int == id }.count == count }
        while !(has(7, 1) && has(8, 1) && has(11, 1) && has(18, 2)) { told.append(try receive()) }
        try send(#"{"op":"ping","id":"end"}"#)
        repeat { told.append(try receive()) } while told.last?["id"] as? String != "end"
        return told
    }

    @Test func sendsTheSameMessagesAsJSON() throws {
        let (json, packed) = (try Self.told(false), try Self.told(true))
        #expect(json.count == packed.count)
        // Answers of the store arrive in any order.
        func sorted(_ notices: [NSDictionary]) throws -> [String] {
            try notices.map {
                String(decoding: try JSONSerialization.data(withJSONObject: $0, options: .sortedKeys), as: UTF8.self)
            }.sorted()
        }
        #expect(try sorted(json) == sorted(packed))
        #expect(
            Set(json.compactMap { $0["op"] as? String }) == [
                "welcome", "ok", "error", "message", "live", "gap", "pong",
            ])
    }

    @Test func keepsBinaryPayloadsAndCorrelations() throws {
        let harness = try ExchangeHarness()
        func connect() throws -> StubClient {
            let stub = try harness.connect { shard, socket in
                let client = shard.makeClient(.anonymous, peer: nil, protocolName: "")
                return JSONSession(shard: shard, socket: socket, client: client, isPacked: true)
            }
            _ = try stub.frame()
            return stub
        }
        func send(_ stub: StubClient, _ bytes: [UInt8]) throws {
            try stub.write(FrameEncoder.frame(.binary, bytes, maskingKey: MaskingKey(1, 2, 3, 4)))
        }
        let (service, client) = (try connect(), try connect())
        try send(service, #require(Self.packed(#"{"op":"subscribe","id":1,"filter":"s"}"#)))
        _ = try (service.frame(), service.frame())
        // {"op":"publish","id":7,"topic":"s","reply":true,"data":bin(00ff)}
        try send(
            client,
            Self.bytes("85 a26f70 a77075626c697368 a26964 07 a5746f706963 a173 a57265706c79 c3 a464617461 c402 00ff"))
        let request = try #require(try service.frame()?.payload)
        #expect(request.suffix(9).elementsEqual(Self.bytes("a464617461 c402 00ff")), "bytes without base64")
        let replyTo = try #require(Self.object(Self.json(request))["replyTo"] as? String)
        var writer = PackedWriter()
        var members = writer.beginMembers()
        writer.name("op", of: &members)
        writer.string("publish")
        writer.name("topic", of: &members)
        writer.string(replyTo)
        writer.name("data", of: &members)
        writer.binary([1, 2].span)
        writer.end(members)
        try send(service, writer.bytes)
        #expect(try Self.object(Self.json(#require(try client.frame()?.payload)))["op"] as? String == "ok")
        let reply = try #require(try client.frame()?.payload)
        #expect(reply.suffix(9).elementsEqual(Self.bytes("a464617461 c402 0102")))
        #expect(try Self.object(Self.json(reply))["id"] as? Int == 7)
    }

    @Test func rejectsTextFramesAndAnythingButMaps() throws {
        let harness = try ExchangeHarness()
        let stub = try harness.connect { shard, socket in
            let client = shard.makeClient(.anonymous, peer: nil, protocolName: "")
            return JSONSession(shard: shard, socket: socket, client: client, isPacked: true)
        }
        _ = try stub.frame()
        try stub.write(FrameEncoder.frame(.binary, [0xC1], maskingKey: MaskingKey(1, 2, 3, 4)))
        let refused = try Self.object(Self.json(#require(try stub.frame()?.payload)))
        #expect(refused["message"] as? String == "Invalid MessagePack: expected a map (at byte 0).")
        try stub.send("{}")
        #expect(try stub.frame()?.payload == [0x03, 0xEB] + Array("broker.v1.msgpack is binary".utf8))
    }
}
