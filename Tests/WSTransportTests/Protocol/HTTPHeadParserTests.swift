import Testing

@testable import WSTransport

/// A request's head, and its content or why it is refused.
struct HeadVector: Decodable, Sendable, CustomTestStringConvertible {
    let name: String
    let head: String
    /// Method, path, query (`-` for none) and version, one space between.
    let line: String?
    /// `Name=value`, if it is checked.
    let fields: [String]?
    /// The host, if it is checked.
    let host: String?
    let error: String?

    var testDescription: String { name }
}

@Suite("RFC 9112 §2–§5: heads, without ambiguity")
struct HTTPHeadParserTests {
    static let vectors: [HeadVector] = Vectors.load("heads")

    /// The result for a head, in the words of the vectors.
    private func read(_ bytes: [UInt8], maximumHeadSize: Int = 4096) -> String? {
        do {
            let parsed = try bytes.withUnsafeBytes { try HTTPHeadParser.parse($0, maximumHeadSize: maximumHeadSize) }
            guard let head = parsed?.head else { return nil }
            return "\(head.method) \(head.path) \(head.query ?? "-") 1.\(head.versionMinor)"
        } catch HTTPParseError.badRequest(let what) {
            return what.isEmpty ? "no reason" : "badRequest"
        } catch {
            return "\(error)"
        }
    }

    private func head(_ text: String) throws -> HTTPRequestHead {
        let parsed = try Array(text.utf8).withUnsafeBytes { try HTTPHeadParser.parse($0, maximumHeadSize: 4096) }
        return try #require(parsed).head
    }

    @Test(arguments: vectors)
    func parses(_ vector: HeadVector) throws {
        #expect(read(Array(vector.head.utf8)) == (vector.error ?? vector.line))
        if let host = vector.host { #expect(try head(vector.head).host == host) }
        guard let fields = vector.fields else { return }
        #expect(try head(vector.head).fields.map { "\($0.name)=\($0.value)" } == fields)
    }

    /// Heads are scanned 64 bytes at a time, and names 16.
    @Test(arguments: 0..<140)
    func findsDelimitersAtEveryOffset(length: Int) throws {
        let (name, value) = ("X-" + String(repeating: "n", count: length), String(repeating: "v", count: length))
        let start = "GET / HTTP/1.1\r\nHost: h\r\n\(name): \(value)"
        let found = try head("\(start)\r\n\r\né")
        #expect(found.fields.first(name) == value && found.fields.count == 2)
        #expect(try head("\(start)é\r\n\r\n").fields.first(name) == value + "é")
        let end = start.utf8.count
        for (byte, words) in [
            ("\n", "LF without CR at byte \(end)"), ("\rx", "CR without LF at byte \(end)"),
            ("\u{7F}", "control character at byte \(end)"), ("\u{1F}", "control character at byte \(end)"),
        ] {
            #expect(throws: HTTPParseError.badRequest(words)) { try head("\(start)\(byte)\r\n\r\n") }
        }
        #expect(throws: HTTPParseError.badRequest("field 2: name")) {
            try head("GET / HTTP/1.1\r\nHost: h\r\n\(name)@: \(value)\r\n\r\n")
        }
    }

    /// Usual lines are read together; an unusual one, and those after it, are read one by one.
    @Test(arguments: 0...3, ["X:\tv", "X: v \t", "X:v", "X:  v", "X_y: v", "X: é", "X:", "X: "])
    func parsesUnusualFieldLines(place: Int, line: String) throws {
        var lines = ["hOST: h", "Content-Type: text/plain", "Cookie: a=b"]
        lines.insert(line, at: place)
        let fields = try head("GET / HTTP/1.1\r\n\(lines.joined(separator: "\r\n"))\r\n\r\n").fields
        #expect(fields.map(\.name) == lines.map { String($0.prefix { $0 != ":" }) })
        #expect(fields[place].value == (line.contains("v") ? "v" : line.contains("é") ? "é" : ""))
        #expect(fields.only(.host) == "h" && fields.first(.contentType) == "text/plain" && fields.has(.cookie))
        lines.insert("HOST: i", at: place)
        #expect(throws: HTTPParseError.badRequest("more than one Host")) {
            try head("GET / HTTP/1.1\r\n\(lines.joined(separator: "\r\n"))\r\n\r\n")
        }
    }

    @Test func changesParsedFields() throws {
        let read = try head("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n").fields
        var fields = read
        fields.append("x", "2")
        #expect(fields.all("X") == ["1", "2"] && fields.only("x") == nil && fields.only(.host) == "a")
        fields.set("Host", "b")
        fields.append("Cookie", "c")
        #expect(fields == ["Host": "b", "X": "1", "x": "2", "Cookie": "c"] && fields.only(.cookie) == "c")
        #expect(read == ["Host": "a", "X": "1"] && read.all("X") == ["1"] && !read.has(.cookie))
        var (joined, bytes): (HeaderFields, [UInt8]) = (["Y": "z"], [])
        joined.append(contentsOf: read)
        joined.write(to: &bytes)
        #expect(String(decoding: bytes, as: UTF8.self) == "Y: z\r\nHost: a\r\nX: 1\r\n")
    }

    @Test(arguments: vectors)
    func anIncompleteHeadHasNoResultOrTheSameError(_ vector: HeadVector) {
        let bytes = Array(vector.head.utf8)
        for count in 0..<bytes.count {
            let early = read(Array(bytes[..<count]))
            #expect(early == nil || early == vector.error, "\(count) bytes")
        }
    }

    @Test(arguments: vectors.filter { $0.line != nil })
    func leavesTheBytesAfterTheHead(_ vector: HeadVector) throws {
        let bytes = Array(vector.head.utf8)
        let parsed = try (bytes + [0x00, 0x0A]).withUnsafeBytes { try HTTPHeadParser.parse($0, maximumHeadSize: 4096) }
        #expect(parsed?.byteCount == bytes.count)
    }

    @Test func acceptsAHeadOfExactlyTheLimit() {
        let bytes = Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
        #expect(read(bytes, maximumHeadSize: bytes.count) == "GET / - 1.1")
        #expect(read(bytes, maximumHeadSize: bytes.count - 1) == "headTooLarge")
        #expect(read(Array(bytes.dropLast()), maximumHeadSize: bytes.count - 1) == "headTooLarge")
        #expect(read(Array(bytes.dropLast(2)), maximumHeadSize: bytes.count - 1) == nil)
        #expect(read(Array(bytes.dropLast()), maximumHeadSize: bytes.count) == nil)
        #expect(read([], maximumHeadSize: 0) == "targetTooLong")
        #expect(read(Array("GET / HTTP/1.1\r".utf8), maximumHeadSize: 15) == "targetTooLong")
        #expect(read(Array("GET / HTTP/1.1\r\n".utf8), maximumHeadSize: 16) == "headTooLarge")
    }

    /// A refused or incomplete head, and the readable part of its fields.
    @Test(arguments: [
        ("GET / HTTP/9.9\r\nA: 1\r\nbad\r\nB\t: 2\r\nC:  3 \r\nD: 4", ["A=1", "C=3"]), ("GET /aaaa", []), ("", []),
        ("GET / HTTP/1.1\nA: 1\n\nB: 2\r\n", ["A=1"]), ("A: 1\r\n: 2\r\nB: \u{1}\r\nC:\r\n\r\n", ["C="]),
    ])
    func recoversLegibleFieldsOfARejectedHead(text: String, fields: [String]) {
        let found = Array(text.utf8).withUnsafeBytes { HTTPHeadParser.legibleFields($0) }
        #expect(found.map { "\($0.name)=\($0.value)" } == fields)
    }

    @Test func limitsTheNumberOfFields() {
        let lines = String(repeating: "X: 1\r\n", count: HTTPHeadParser.maximumFieldCount - 1)
        #expect(read(Array("GET / HTTP/1.1\r\nHost: a\r\n\(lines)\r\n".utf8)) == "GET / - 1.1")
        #expect(read(Array("GET / HTTP/1.1\r\nHost: a\r\nY: 1\r\n\(lines)\r\n".utf8)) == "headTooLarge")
    }

    @Test func readsInvalidUTF8AsLatin1() throws {
        let bytes = Array("GET / HTTP/1.1\r\nHost: a\r\nX: S".utf8) + [0xE3] + Array("o\r\n\r\n".utf8)
        let parsed = try bytes.withUnsafeBytes { try HTTPHeadParser.parse($0, maximumHeadSize: 4096) }
        #expect(parsed?.head.fields.first("x") == "São")
    }

    @Test func reportsWhereTheErrorIs() {
        func reason(_ text: String) -> HTTPParseError? {
            do {
                _ = try head(text)
                return nil
            } catch { return error as? HTTPParseError }
        }
        #expect(reason("GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n") == .badRequest("field 2: name"))
        #expect(reason("GET / HTTP/1.1\n") == .badRequest("LF without CR at byte 14"))
        #expect(reason("GET / HTTP/1.1\r\n\r\n")?.status == 400)
        #expect(HTTPParseError.headTooLarge.status == 431)
        #expect(HTTPParseError.versionNotSupported.status == 505)
    }

    @Test func looksUpFieldsCaseInsensitively() throws {
        let fields = try head("GET / HTTP/1.1\r\nHost: a\r\nAccept: A, ,b\r\nACCEPT:\tC ,\r\nx: 1\r\n\r\n").fields
        #expect(fields.first("accept") == "A, ,b")
        #expect(fields.hasName(beginningWith: "acc") && fields.hasName(beginningWith: "x"))
        #expect(!fields.hasName(beginningWith: "if-") && !fields.hasName(beginningWith: "xy"))
        #expect(fields.all("Accept") == ["A, ,b", "C ,"])
        #expect(fields.list("Accept") == ["A", "b", "C"])
        #expect(fields.tokens("Accept") == ["a", "b", "c"])
        #expect(fields.only("Accept") == nil)
        #expect(fields.only("X") == "1")
        #expect(fields.first("Accep") == nil)
        #expect(fields.count == 4)
    }

    @Test func replacesLineEndsInWrittenFields() {
        var bytes: [UInt8] = []
        (["X": "a\r\nSet-Cookie: b", "Y:\r\nZ": "c"] as HeaderFields).write(to: &bytes)
        #expect(String(decoding: bytes, as: UTF8.self) == "X: a  Set-Cookie: b\r\nY---Z: c\r\n")
    }

    @Test(arguments: [
        ("1.1", "", true), ("1.1", "Connection: close\r\n", false), ("1.1", "Connection: a, Close\r\n", false),
        ("1.0", "", false), ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
    ])
    func knowsWhetherTheConnectionIsKept(version: String, field: String, stays: Bool) throws {
        #expect(try head("GET / HTTP/\(version)\r\nHost: a\r\n\(field)\r\n").keepsAlive == stays)
    }

    @Test(arguments: [
        ("HTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\n", "101 Switching Protocols"),
        ("HTTP/1.0 204 \r\n\r\n", "204 "), ("HTTP/1.1 404\r\n\r\n", "404 "),
        ("HTTP/1.1 99 a\r\n\r\n", nil), ("HTTP/1.1 099 a\r\n\r\n", nil), ("HTTP/1.1 1000 a\r\n\r\n", nil),
        ("HTTP/1.1  200 a\r\n\r\n", nil), ("HTTP/1.1 20x a\r\n\r\n", nil), ("HTTP/2.0 200 a\r\n\r\n", nil),
        ("HTTP/1.1\r\n\r\n", nil), ("\r\n\r\n", nil), ("HTTP/1.1 200 a\n\r\n", nil),
        ("HTTP/1.1 200 a\r\n b\r\n\r\n", nil),
    ])
    func parsesResponses(text: String, expected: String?) throws {
        let bytes = Array(text.utf8)
        let parsed = try? bytes.withUnsafeBytes { try HTTPHeadParser.parseResponse($0, maximumHeadSize: 4096) }
        #expect(parsed.map { "\($0.head.status) \($0.head.reason)" } == expected)
        for count in 0..<bytes.count where expected != nil {
            let early = try bytes[..<count].withUnsafeBytes {
                try HTTPHeadParser.parseResponse($0, maximumHeadSize: 4096)
            }
            #expect(early == nil)
        }
    }
}
