@testable import Broker
import Foundation
import Testing

@Suite("JSON writer")
struct JSONWriterTests {
    private func text(_ body: (inout JSONWriter) -> Void) -> String {
        var writer = JSONWriter()
        body(&writer)
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    @Test func separatesMembersAndElements() {
        let written = text { writer in
            writer.beginObject()
            writer.member("op", "message")
            writer.member("seq", 812)
            writer.member("retained", true)
            writer.member("rate", 0.5)
            writer.name("list")
            writer.beginArray()
            writer.integer(-1)
            writer.null()
            writer.bool(false)
            writer.beginArray()
            writer.endArray()
            writer.beginObject()
            writer.endObject()
            writer.string("x")
            writer.endArray()
            writer.member("data", raw: Array("[1, 2]".utf8).span)
            writer.endObject()
        }
        let members = #""op":"message","seq":812,"retained":true,"rate":0.5"#
        #expect(written == "{\(members)," + #""list":[-1,null,false,[],{},"x"],"data":[1, 2]}"#)
    }

    @Test func appendsToExistingBytes() {
        var writer = JSONWriter(appendingTo: Array("{}\n".utf8))
        writer.beginObject()
        writer.member("n", 0)
        writer.endObject()
        #expect(writer.bytes == Array("{}\n{\"n\":0}".utf8))
        writer.removeAll()
        writer.null()
        #expect(writer.bytes == Array("null".utf8))
    }

    @Test(arguments: [
        ("", #""""#), ("plain", #""plain""#), ("a\"b\\c", #""a\"b\\c""#), ("\u{8}\u{C}\n\r\t", #""\b\f\n\r\t""#),
        ("\u{0}\u{1F}", #""\u0000\u001f""#), ("\u{7F}é€😀", "\"\u{7F}é€😀\""),
        ("a\u{2028}b\u{2029}", #""a\u2028b\u2029""#),
        ("\u{2027}\u{202A}\u{2068}", "\"\u{2027}\u{202A}\u{2068}\""), ("</script>", #""</script>""#),
    ])
    func escapes(value: String, expected: String) {
        #expect(text { $0.string(value) } == expected)
        #expect(text { $0.string(utf8: Array(value.utf8).span) } == expected)
    }

    @Test(arguments: [Int64.min, -1, 0, 1, 9, 10, 99, 100, 1_763_838_000_000, .max])
    func writesIntegers(value: Int64) {
        #expect(text { $0.integer(value) } == String(value))
    }

    @Test func countsDigits() {
        var powers: [UInt64] = [1]
        while powers.count < 20 { powers.append(powers[powers.count - 1] * 10) }
        for value in powers.flatMap({ [$0 - 1, $0, $0 + 1] }) + [UInt64.max] {
            #expect(JSONWriter.digitCount(value) == String(value).count, "\(value)")
        }
    }

    @Test func writesIntegersOfAnyWidth() {
        #expect(text { $0.integer(UInt64.max) } == "18446744073709551615")
        #expect(text { $0.integer(Int8.min) } == "-128")
        #expect(text { $0.integer(Int128.min) } == String(Int128.min))
        #expect(text { $0.integer(UInt128.max) } == String(UInt128.max))
    }

    @Test(arguments: [
        0, -0.0, 0.1, 21.5, 1e20, 1e-7, -1.5e300, .greatestFiniteMagnitude, .leastNonzeroMagnitude, 1 / 3,
    ])
    func writesDoublesThatReadBack(value: Double) throws {
        var writer = JSONWriter()
        writer.double(value)
        #expect(try JSONValue(parsing: writer.bytes.span).double().bitPattern == value.bitPattern)
    }

    @Test(arguments: [Double.nan, .infinity, -.infinity])
    func writesNullForNaNAndInfinity(value: Double) {
        #expect(text { $0.double(value) } == "null")
    }

    /// RFC 4648 §10.
    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ])
    func writesBase64(value: String, expected: String) {
        #expect(text { $0.base64(Array(value.utf8).span) } == "\"\(expected)\"")
    }

    @Test func writesBase64OfEveryByte() {
        let bytes = Array(0...255 as ClosedRange<UInt8>)
        #expect(text { $0.base64(bytes.span) } == "\"\(Data(bytes).base64EncodedString())\"")
    }

    /// Written objects read back the same, whatever the strings contain.
    @Test(arguments: 0..<200)
    func readsBack(seed: Int) throws {
        var schedule = TopicSchedule(seed: seed)
        let alphabet = [
            "a", "plain text ", "\"", "\\", "\n", "\u{0}", "\u{1F}", "é", "\u{2028}", "\u{2029}", "\u{20}", "日本", "😀",
            "/", "\u{7F}", "\u{10FFFF}",
        ]
        func string() -> String {
            (0..<Int.random(in: 0...20, using: &schedule)).map { _ in alphabet.randomElement(using: &schedule) ?? "" }
                .joined()
        }
        let members = (0..<8).map { (name: "\($0)" + string(), value: string()) }
        let numbers = members.map { _ in
            Int64.random(in: .min ... .max, using: &schedule) >> Int64.random(in: 0...63, using: &schedule)
        }
        var writer = JSONWriter()
        writer.beginObject()
        for (member, number) in zip(members, numbers) {
            writer.name(escaping: member.name)
            writer.string(member.value)
            writer.name(escaping: member.name + "#")
            writer.integer(number)
        }
        writer.endObject()

        let object = try JSONObject.parse(writer.bytes.span)
        #expect(object.count == 16)
        for (member, number) in zip(members, numbers) {
            #expect(try object.stringBytes(JSONName(member.name)) == Array(member.value.utf8))
            #expect(try object.string(JSONName(member.name)) == member.value)
            #expect(try object.integer(JSONName(member.name + "#")) == number)
        }
        let foundation = try JSONSerialization.jsonObject(with: Data(writer.bytes)) as? [String: Any]
        for member in members { #expect(foundation?[member.name] as? String == member.value) }
    }
}
