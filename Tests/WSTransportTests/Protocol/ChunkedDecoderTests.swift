import Testing

@testable import WSTransport

/// A body in chunks, and its content; no content if it is refused.
struct ChunkedVector: Decodable, Sendable, CustomTestStringConvertible {
    let name: String
    let bytes: String
    let body: String?
    /// How many bytes at the end belong to the next request.
    let rest: Int?

    var testDescription: String { name }
}

@Suite("RFC 9112 §7.1: chunks, split anywhere")
struct ChunkedDecoderTests {
    static let vectors: [ChunkedVector] = Vectors.load("chunked")

    /// The body in `pieces`, and how many bytes were left; `nil` if it is not complete.
    private func decode(_ pieces: [[UInt8]]) throws -> (body: String, rest: Int)? {
        var decoder = ChunkedDecoder()
        var body: [UInt8] = []
        var rest = 0
        for piece in pieces {
            try piece.withUnsafeBytes { bytes in
                var offset = 0
                while let event = try decoder.next(bytes, &offset) {
                    if case .data(let range) = event { body += bytes[range] } else { #expect(decoder.isAtEnd) }
                }
                rest += bytes.count - offset
            }
        }
        return decoder.isAtEnd ? (String(decoding: body, as: UTF8.self), rest) : nil
    }

    private func check(_ vector: ChunkedVector, _ pieces: [[UInt8]], _ comment: Comment) {
        do {
            let decoded = try decode(pieces)
            #expect(vector.body != nil, comment)
            #expect(decoded?.body == vector.body && decoded?.rest == vector.rest, comment)
        } catch {
            #expect(vector.body == nil, comment)
        }
    }

    @Test(arguments: vectors)
    func decodes(_ vector: ChunkedVector) {
        let bytes = Array(vector.bytes.utf8)
        check(vector, [bytes], "whole")
        check(vector, bytes.map { [$0] }, "byte by byte")
        for cut in 0...bytes.count { check(vector, [Array(bytes[..<cut]), Array(bytes[cut...])], "cut at \(cut)") }
    }

    @Test(arguments: vectors.filter { $0.body != nil })
    func isIncompleteBeforeItsEnd(_ vector: ChunkedVector) throws {
        let bytes = Array(vector.bytes.utf8)
        for count in 0..<bytes.count - (vector.rest ?? 0) { #expect(try decode([Array(bytes[..<count])]) == nil) }
    }

    @Test func reportsDataAsRangesOfTheInput() throws {
        var decoder = ChunkedDecoder()
        let events = try Array("3\r\nabc\r\n0\r\n\r\nX".utf8).withUnsafeBytes { bytes in
            var offset = 0
            return [
                try decoder.next(bytes, &offset), try decoder.next(bytes, &offset), try decoder.next(bytes, &offset),
            ]
        }
        #expect(events == [.data(3..<6), .end, nil])
    }

    @Test(arguments: ["1;\(String(repeating: "a", count: 16_384))", String(repeating: "0", count: 16_386)])
    func limitsExtensionsAndLeadingZeros(text: String) throws {
        #expect(throws: HTTPParseError.self) { try decode([Array(text.utf8)]) }
        #expect(try decode([Array(text.utf8.dropLast(2))]) == nil)
    }

    @Test func limitsTheTotalOverhead() {
        let chunk = Array("1;aaaaaaa\r\nx\r\n".utf8)
        #expect(throws: HTTPParseError.self) { try decode(Array(repeating: chunk, count: 2_049)) }
        #expect(throws: Never.self) { try decode(Array(repeating: chunk, count: 2_048)) }
        let trailers = Array(repeating: Array("X: abcdefgh\r\n".utf8), count: 2_000)
        #expect(throws: HTTPParseError.self) { try decode([Array("0\r\n".utf8)] + trailers) }
    }
}
