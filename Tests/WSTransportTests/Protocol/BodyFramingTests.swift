import Testing

@testable import WSTransport

@Suite("RFC 9112 §6: the length of a body, without ambiguity")
struct BodyFramingTests {
    private func framing(_ fields: HeaderFields, versionMinor: Int = 1) throws -> BodyFraming {
        try BodyFraming.of(HTTPRequestHead(method: "POST", target: "/", versionMinor: versionMinor, fields: fields))
    }

    @Test(
        arguments: [
            ([:], .none),
            (["Content-Length": "0"], .none),
            (["Content-Length": "5"], .length(5)),
            (["content-length": "007"], .length(7)),
            (["Content-Length": "9223372036854775807"], .length(.max)),
            (["Transfer-Encoding": "chunked"], .chunked),
            (["transfer-encoding": "Chunked"], .chunked),
        ] as [(HeaderFields, BodyFraming)])
    func accepts(fields: HeaderFields, expected: BodyFraming) throws {
        #expect(try framing(fields) == expected)
    }

    @Test(
        arguments: [
            ["Content-Length": "5", "content-length": "6"], ["Content-Length": "5, 6"],
            ["Content-Length": "5", "CONTENT-LENGTH": "5"], ["Content-Length": "5, 5"], ["Content-Length": "5,"],
            ["Content-Length": ""], ["Content-Length": "+5"], ["Content-Length": "-5"], ["Content-Length": "5 5"],
            ["Content-Length": "0x5"], ["Content-Length": "5a"], ["Content-Length": "٥"],
            ["Content-Length": "9223372036854775808"], ["Content-Length": "99999999999999999999999"],
            ["Content-Length": "5", "Transfer-Encoding": "chunked"],
            ["Transfer-Encoding": "chunked", "Content-Length": "0"],
            ["Transfer-Encoding": "chunked", "transfer-encoding": "chunked"], ["Transfer-Encoding": "chunked, chunked"],
            ["Transfer-Encoding": "chunked, identity"], ["Transfer-Encoding": "chunked, gzip"],
            ["Transfer-Encoding": "gzip,, chunked"], ["Transfer-Encoding": "chunked;a=b, chunked"],
            ["Transfer-Encoding": "identity"], ["Transfer-Encoding": "xchunked"], ["Transfer-Encoding": "chunked;a=b"],
            ["Transfer-Encoding": "\"chunked\""], ["Transfer-Encoding": ""],
        ] as [HeaderFields])
    func refuses(fields: HeaderFields) {
        let error = #expect(throws: HTTPParseError.self) { try framing(fields) }
        #expect(error?.status == 400)
    }

    /// §6.1: the body's end could be found, but not its meaning.
    @Test(arguments: ["gzip, chunked", "deflate,\tchunked", "br;q=1, gzip, Chunked"])
    func doesNotSupportOtherCodings(value: String) {
        let error = #expect(throws: HTTPParseError.self) { try framing(["Transfer-Encoding": value]) }
        #expect(error?.status == 501)
    }

    @Test func refusesChunksInHTTP10() {
        #expect(throws: HTTPParseError.badRequest("Transfer-Encoding in HTTP/1.0")) {
            try framing(["Transfer-Encoding": "chunked"], versionMinor: 0)
        }
    }
}
