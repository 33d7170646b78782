import Broker
import Testing

@Suite("JSON objects: members")
struct JSONObjectTests {
    private let publish = Array(
        (#"{"op":"publish","id":3,"topic":"sensors/1/temp","data":{"t":[21.5, null]},"#
            + #""retain":true,"ttl":null,"x\u0079":"\ud83d\ude00é"}"#).utf8)

    /// Reads `text` as one object and gives it to `body`; typed, so that tests can name the error.
    private func reading<Result>(
        _ text: String, _ body: (borrowing JSONObject) throws(JSONError) -> Result
    ) throws(JSONError) -> Result {
        let bytes = Array(text.utf8)
        return try body(JSONObject.parse(bytes.span))
    }

    @Test func readsACommand() throws {
        let object = try JSONObject.parse(publish.span)
        #expect(object.count == 7)
        #expect(object.rawBytes.count == publish.count)
        #expect(try object.string("op") == "publish")
        #expect(try object.integer("id", as: Int.self) == 3)
        #expect(try object.string("topic") == "sensors/1/temp")
        #expect(try object.bool("retain") == true)
        #expect(try object.integer("ttl", as: UInt64.self) == nil)
        #expect(object.kind(of: "ttl") == .null)
        #expect(try object.string("xy") == "😀é")
        #expect(try object.stringBytes("xy") == Array("😀é".utf8))
        #expect(object.name(at: 6) == "xy")
        #expect(try object.string("absent") == nil)
        #expect(object.kind(of: "absent") == nil)
        #expect(object.value("data")?.copyRawBytes() == Array(#"{"t":[21.5, null]}"#.utf8))
        #expect(object.value("data")?.offset == 55)
        #expect(object.value("topic")?.copyRawBytes() == Array(#""sensors/1/temp""#.utf8))
    }

    /// A name's first eight bytes and its length tell most names apart; these have both in common.
    @Test func distinguishesLongNames() throws {
        let text = #"{"temperature-a":1,"temperature-b":2,"\u0074emperature-c":3,"temperat":4,"temperature-\u0064":5}"#
        let object = try JSONObject.parse(Array(text.utf8).span)
        #expect(try object.integer("temperature-a", as: Int.self) == 1)
        #expect(try object.integer("temperature-b", as: Int.self) == 2)
        #expect(try object.integer("temperature-c", as: Int.self) == 3)
        #expect(try object.integer("temperature-d", as: Int.self) == 5)
        #expect(try object.integer(JSONName("temperat"), as: Int.self) == 4)
        #expect(object.kind(of: "temperature-e") == nil)
    }

    @Test(arguments: ["temperature-d", "\\u0074emperature-d", "temperature-\\u0064"])
    func rejectsADuplicateLongName(name: String) {
        let text = "{\"temperature-a\":1,\"temperature-d\":2,\"\(name)\":3}"
        #expect(throws: JSONError(.duplicateMember("temperature-d"), at: 37)) {
            try reading(text) { (object) throws(JSONError) in object.count }
        }
    }

    @Test func readsNestedValues() throws {
        let text = #" {"a":{"b":{"c":[1,"x",{"d":2}]}},"names":["p","q\n"],"none":[]}"#
        let bytes = Array(text.utf8)
        let object = try JSONObject.parse(bytes.span)
        #expect(object.offset == 1)
        let inner = try #require(try object.object("a")?.object("b")?.copied("c"))
        #expect(inner == Array(#"[1,"x",{"d":2}]"#.utf8))
        #expect(try object.strings("names") == ["p", "q\n"])
        #expect(try object.strings("none") == [])
        #expect(try object.object("absent") == nil)
        var kinds: [JSONValue.Kind] = []
        let array = try JSONValue(parsing: inner.span)
        try array.forEachElement { (element) throws(JSONError) in kinds.append(element.kind) }
        #expect(kinds == [.number, .string, .object])
    }

    @Test(arguments: [
        ("0", 0), ("-0", 0), ("9223372036854775807", Int64.max), ("-9223372036854775808", Int64.min), ("42", 42),
        ("-1", -1),
    ])
    func readsExactIntegers(text: String, expected: Int64) throws {
        #expect(try reading("{\"n\":\(text)}") { (object) throws(JSONError) in try object.integer("n") } == expected)
    }

    @Test(arguments: [
        "9223372036854775808", "-9223372036854775809", "18446744073709551616", "123456789012345678901234567890",
    ])
    func refusesIntegersOutOfRange(text: String) {
        #expect(throws: JSONError(.outOfRange(member: "n"), at: 5)) {
            try reading("{\"n\":\(text)}") { (object) throws(JSONError) in try object.integer("n", as: Int64.self) }
        }
    }

    @Test func readsIntegersOfAnyWidth() throws {
        let text = #"{"most":18446744073709551615,"less":-1,"byte":256,"low":-128}"#
        #expect(try reading(text) { (object) throws(JSONError) in try object.integer("most", as: UInt64.self) } == .max)
        #expect(try reading(text) { (object) throws(JSONError) in try object.integer("low", as: Int8.self) } == -128)
        for member in ["less", "byte"] {
            #expect(throws: JSONError.self) {
                try reading(text) { (object) throws(JSONError) in try object.integer(JSONName(member), as: UInt8.self) }
            }
        }
    }

    @Test(arguments: ["1e3", "5.0", "1E0", "-0.0", "\"5\"", "true", "[5]", "{}"])
    func rejectsNonIntegers(text: String) {
        #expect(throws: JSONError.self) {
            try reading("{\"n\":\(text)}") { (object) throws(JSONError) in try object.integer("n", as: Int.self) }
        }
    }

    @Test(arguments: [
        ("5", 5.0), ("5.0", 5.0), ("-1.25e2", -125), ("1e3", 1000), ("0.1", 0.1), ("1e-400", 0), ("-0", -0.0),
    ])
    func readsDoubles(text: String, expected: Double) throws {
        #expect(try reading("{\"n\":\(text)}") { (object) throws(JSONError) in try object.double("n") } == expected)
    }

    @Test func rejectsInfiniteDoubles() {
        #expect(throws: JSONError(.outOfRange(member: "n"), at: 5)) {
            try reading(#"{"n":1e999}"#) { (object) throws(JSONError) in try object.double("n") }
        }
    }

    @Test func namesAMemberOfTheWrongType() {
        let text = #"{"s":"x","n":1,"a":["x",2]}"#
        func refusal<Result>(_ body: (borrowing JSONObject) throws(JSONError) -> Result) -> JSONError? {
            do throws(JSONError) {
                _ = try reading(text, body)
                return nil
            } catch {
                return error
            }
        }
        func wrong(_ member: String, _ expected: String, _ found: JSONValue.Kind, _ offset: Int) -> JSONError {
            JSONError(.wrongKind(member: member, expected: expected, found: found), at: offset)
        }
        #expect(refusal { (object) throws(JSONError) in try object.string("n") } == wrong("n", "a string", .number, 13))
        #expect(
            refusal { (object) throws(JSONError) in try object.stringBytes("n") } == wrong("n", "a string", .number, 13)
        )
        #expect(
            refusal { (object) throws(JSONError) in try object.bool("s") } == wrong("s", "true or false", .string, 5))
        #expect(
            refusal { (object) throws(JSONError) in try object.integer("s", as: Int.self) }
                == wrong("s", "an integer", .string, 5))
        #expect(refusal { (object) throws(JSONError) in try object.double("s") } == wrong("s", "a number", .string, 5))
        #expect(
            refusal { (object) throws(JSONError) in try object.strings("a") } == wrong("a", "a string", .number, 24))
        #expect(refusal { (object) throws(JSONError) in try object.strings("s") } == wrong("s", "an array", .string, 5))
        #expect(
            refusal { (object) throws(JSONError) in try object.object("a")?.count }
                == wrong("a", "an object", .array, 19))
    }

    @Test(arguments: [
        (#"{"a":1,"a":2}"#, "a", 7), (#"{"a":1,"\u0061":2}"#, "a", 7), (#"{"\u0061":1,"a":2}"#, "a", 12),
        (#"{"\u0061":1,"\u0061":2}"#, "a", 12), (#"{"":1,"b":0,"":2}"#, "", 12),
    ])
    func rejectsDuplicateNames(text: String, name: String, offset: Int) {
        #expect(throws: JSONError(.duplicateMember(name), at: offset)) {
            try reading(text) { (object) throws(JSONError) in object.count }
        }
    }

    @Test func distinguishesNames() throws {
        let text = #"{"a":1,"A":2,"ab":3,"b":4,"\u00e9":5,"é":6,"":7}"#
        for (name, value) in [("a", 1), ("A", 2), ("ab", 3), ("b", 4), ("é", 5), ("e\u{301}", 6), ("", 7)] {
            // The sixth is written decomposed.
            let decomposed = text.replacing(#""é""#, with: "\"e\u{301}\"")
            #expect(
                try reading(decomposed) { (object) throws(JSONError) in try object.integer(JSONName(name)) } == value)
        }
    }

    @Test func limitsTheNumberOfMembers() throws {
        func text(_ count: Int) -> String { "{" + (0..<count).map { "\"m\($0)\":\($0)" }.joined(separator: ",") + "}" }
        #expect(
            try reading(text(256)) { (object) throws(JSONError) in try object.integer("m255", as: Int.self) } == 255)
        let error = JSONError(.tooManyMembers(maximum: 256), at: text(256).utf8.count)
        #expect(throws: error) { try reading(text(257)) { (object) throws(JSONError) in object.count } }
    }

    @Test(arguments: ["null", "[]", "1", "\"{}\"", "", "  ", "{} {}", "{}x"])
    func rejectsAnythingButOneObject(text: String) {
        #expect(throws: JSONError.self) { try reading(text) { (object) throws(JSONError) in object.count } }
    }

    @Test func readsSeveralObjects() throws {
        let bytes = Array("{\"n\":1}\n \r\n{\"n\":2}{\"n\":3}\n".utf8)
        var scanner = JSONScanner(bytes.span)
        var numbers: [Int?] = []
        while let object = try scanner.nextObject() { numbers.append(try object.integer("n")) }
        #expect(numbers == [1, 2, 3])
        #expect(scanner.offset == bytes.count)
        var rest = JSONScanner(bytes.span, from: 7)
        #expect(try rest.nextObject()?.offset == 11)
    }

    @Test func stopsAtTheFirstBadObject() throws {
        let bytes = Array("{\"n\":1}\n[2]\n".utf8)
        var scanner = JSONScanner(bytes.span)
        #expect(try scanner.nextObject()?.count == 1)
        var refusal: JSONError?
        do throws(JSONError) { _ = try scanner.nextObject() } catch { refusal = error }
        #expect(refusal == JSONError(.unexpectedByte(UInt8(ascii: "["), expected: "'{'"), at: 8))
    }

    /// Every byte of a command changed to every other: an error or an object, never a trap.
    @Test(arguments: 0..<256)
    func surviveAnyChangedByte(byte: Int) throws {
        var accepted = 0
        for place in publish.indices {
            var bytes = publish
            bytes[place] = UInt8(byte)
            guard let object = try? JSONObject.parse(bytes.span) else { continue }
            accepted += 1
            for index in 0..<object.count {
                let name = object.name(at: index)
                #expect(object.value(at: index).kind == object.value(JSONName(name))?.kind)
                #expect((object.value(at: index).string != nil) == (object.value(at: index).kind == .string))
            }
        }
        #expect(accepted < publish.count)
    }
}

extension JSONObject {
    fileprivate func copied(_ name: String) -> [UInt8]? { value(JSONName(name))?.copyRawBytes() }
}
