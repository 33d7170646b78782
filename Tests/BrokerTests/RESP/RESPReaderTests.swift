import Testing

@testable import Broker

/// The result of some bytes: the values, and the mistake that ended them.
private struct Reading: Equatable {
    var values: [RESPValue] = []
    var mistake: String?

    /// Reads pieces one after the other.
    init(_ pieces: [[UInt8]], limits: RESPReader.Limits = RESPReader.Limits()) {
        var reader = RESPReader(limits: limits)
        do throws(RESPMistake) {
            for piece in pieces {
                var offset = 0
                while let value = try reader.next(piece.span, &offset) { values.append(value) }
                #expect(offset == piece.count, "all is taken")
            }
        } catch {
            mistake = error.description
        }
    }

    init(_ text: String, limits: RESPReader.Limits = RESPReader.Limits()) {
        self.init([Array(text.utf8)], limits: limits)
    }
}

@Suite("RESPReader: values from a server of Redis's protocol")
struct RESPReaderTests {
    /// The examples of the protocol's page, and the edges of each kind.
    static let vectors: [(String, [RESPValue])] = [
        ("+OK\r\n", [.simple("OK")]), ("+\r\n", [.simple("")]), ("-ERR no\r\n", [.error(RESPError("ERR no"))]),
        (":0\r\n", [.integer(0)]), (":-1\r\n", [.integer(-1)]), (":+7\r\n", [.integer(7)]),
        (":9223372036854775807\r\n", [.integer(.max)]), (":-9223372036854775808\r\n", [.integer(.min)]),
        ("$5\r\nhello\r\n", [.bytes(Array("hello".utf8))]), ("$0\r\n\r\n", [.bytes([])]), ("$-1\r\n", [.null]),
        ("$4\r\n\r\n\r\n\r\n", [.bytes(Array("\r\n\r\n".utf8))]), ("*-1\r\n", [.null]), ("*0\r\n", [.array([])]),
        ("*2\r\n$1\r\na\r\n:1\r\n", [.array([.bytes([97]), .integer(1)])]),
        ("*2\r\n*1\r\n+a\r\n-B c\r\n", [.array([.array([.simple("a")]), .error(RESPError("B c"))])]),
        ("*3\r\n$-1\r\n*0\r\n*-1\r\n", [.array([.null, .array([]), .null])]),
        ("_\r\n", [.null]), ("#t\r\n#f\r\n", [.boolean(true), .boolean(false)]),
        (",1.5\r\n,-1e3\r\n,10\r\n", [.double(1.5), .double(-1000), .double(10)]),
        (",inf\r\n,-inf\r\n", [.double(.infinity), .double(-.infinity)]),
        (
            "(3492890328409238509324850943850943825024385\r\n",
            [.bigNumber("3492890328409238509324850943850943825024385")]
        ),
        ("!8\r\nERR a\r\nb\r\n", [.error(RESPError("ERR a\r\nb"))]), ("=5\r\ntxt:a\r\n", [.bytes([97])]),
        ("%2\r\n+a\r\n:1\r\n+b\r\n%0\r\n", [.map([.simple("a"), .integer(1), .simple("b"), .map([])])]),
        ("~1\r\n+a\r\n", [.array([.simple("a")])]),
        (">2\r\n+message\r\n+a\r\n+OK\r\n", [.push([.simple("message"), .simple("a")]), .simple("OK")]),
        ("|1\r\n+ttl\r\n:3600\r\n*2\r\n|1\r\n+a\r\n+b\r\n:1\r\n:2\r\n", [.array([.integer(1), .integer(2)])]),
        ("|0\r\n+a\r\n", [.simple("a")]),
    ]

    @Test(arguments: vectors)
    func readsEachKind(text: String, values: [RESPValue]) {
        let whole = Reading(text)
        #expect(whole.values == values && whole.mistake == nil)
        let bytes = Array(text.utf8)
        #expect(Reading(bytes.map { [$0] }) == whole, "byte by byte")
        for cut in 0...bytes.count {
            #expect(Reading([Array(bytes[..<cut]), Array(bytes[cut...])]) == whole, "cut at \(cut)")
        }
        for end in 0..<bytes.count {
            let early = Reading([Array(bytes[..<end])])
            #expect(early.mistake == nil && early.values.count < values.count, "nothing before its end")
        }
    }

    @Test(arguments: [
        ("OK\r\n", "a line that begins with the byte 79"), ("\r\n", "an empty line"),
        ("+OK\n", "a line that does not end in CR LF"), ("\n", "a line that does not end in CR LF"),
        ("+O\rK\r\n", "a CR within a line"), (":\r\n", "a malformed number"), (":1 \r\n", "a malformed number"),
        (":9223372036854775808\r\n", "a malformed number"), ("$+-1\r\n", "a malformed number"),
        ("$-2\r\n", "a negative length"), ("*-2\r\n", "a negative length"), ("%-1\r\n", "a negative length"),
        ("!-1\r\n", "a negative length"), ("~-1\r\n", "a negative length"), ("$?\r\n", "a malformed number"),
        ("$1\r\nab\r\n", "bytes that are longer than their length"), ("_a\r\n", "a null with a content"),
        ("#x\r\n", "a boolean that is neither t nor f"), (",1.5.2\r\n", "a malformed number"),
        (",0x1p3\r\n", "a malformed number"), (",infinity\r\n", "a malformed number"),
        ("(1a\r\n", "a malformed number"), ("(-\r\n", "a malformed number"),
        ("=1\r\na\r\n", "a text without its format"),
        ("*1\r\n>1\r\n+a\r\n", "a push within a value"),
    ])
    func rejectsMalformedValues(text: String, mistake: String) {
        let whole = Reading("+before\r\n" + text + "+after\r\n")
        #expect(whole.mistake == mistake && whole.values == [.simple("before")])
        #expect(Reading(("+before\r\n" + text).utf8.map { [$0] }) == whole, "byte by byte")
    }

    /// An announced length allocates no memory, and received bytes are counted.
    @Test func trustsNoAnnouncedLength() {
        var limits = RESPReader.Limits()
        (limits.maximumSize, limits.maximumDepth, limits.maximumLine) = (1000, 3, 20)
        for begun in ["$9223372036854775807", "$1000", "*9223372036854775807", "*40", "%20"] {
            #expect(Reading(begun + "\r\n", limits: limits).mistake == "a value above 1000 bytes", "\(begun)")
        }
        #expect(Reading("*25\r\n" + String(repeating: ":1\r\n", count: 25), limits: limits).values.count == 1)
        #expect(Reading("*30\r\n" + String(repeating: ":1\r\n", count: 30), limits: limits).mistake != nil)
        // It begins again with each value.
        #expect(
            Reading(String(repeating: "$500\r\n\(String(repeating: "a", count: 500))\r\n", count: 9), limits: limits)
                .values.count == 9)
        #expect(Reading(String(repeating: "*1\r\n", count: 3) + ":1\r\n", limits: limits).values.count == 1)
        #expect(
            Reading(String(repeating: "*1\r\n", count: 4), limits: limits).mistake == "values more than 3 levels deep")
        #expect(Reading("+" + String(repeating: "a", count: 19) + "\r\n", limits: limits).values.count == 1)
        #expect(Reading("+" + String(repeating: "a", count: 21), limits: limits).mistake == "a line above 20 bytes")
        var reader = RESPReader()
        var offset = 0
        #expect(throws: Never.self) { try reader.next(Array("$60000000\r\nab".utf8).span, &offset) }
        #expect(reader.heldBytes < 61_000_000)
    }

    /// After a mistake nothing is read: where the next answer begins is not known.
    @Test func readsNothingAfterAMistake() {
        var reader = RESPReader()
        for text in ["*1\r\n?\r\n", "+OK\r\n"] {
            var offset = 0
            #expect(throws: RESPMistake("a line that begins with the byte 63")) {
                try reader.next(Array(text.utf8).span, &offset)
            }
        }
    }

    @Test func convertsValues() {
        #expect(RESPError("READONLY You can't").code == "READONLY" && RESPError("ERR").code == "ERR")
        #expect(RESPValue.bytes(Array("12".utf8)).integer == 12 && RESPValue.integer(3).integer == 3)
        #expect(RESPValue.bytes([0xFF]).text == nil && RESPValue.simple("a").text == "a" && RESPValue.null.text == nil)
        #expect(RESPValue.map([.null]).elements == [.null] && RESPValue.null.elements == nil)
        #expect(RESPValue.double(1).integer == nil && RESPValue.integer(3).text == "3")
    }

    @Test func writesCommands() {
        let command: RESPCommand = ["FCALL", .text("é"), .number(.max), .bytes([0, 13, 10]), ""]
        let written = "*5\r\n$5\r\nFCALL\r\n$2\r\né\r\n$20\r\n18446744073709551615\r\n$3\r\n\0\r\n\r\n$0\r\n\r\n"
        #expect(command.bytes == Array(written.utf8))
        #expect(Reading([command.bytes]).values.first?.elements?.count == 5)
    }
}
