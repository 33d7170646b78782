import Foundation
import Testing

@testable import Broker

/// The error of reading `bytes` as one value, if any.
private func error(of bytes: [UInt8], maximumDepth: Int = JSONScanner.maximumDepth) -> JSONError? {
    do throws(JSONError) {
        _ = try JSONValue(parsing: bytes.span, maximumDepth: maximumDepth)
        return nil
    } catch {
        return error
    }
}

/// Outside the macros, which cannot hold a span.
private func isJSON(_ bytes: [UInt8]) -> Bool { JSONScanner.validate(bytes.span) }

private func hasLineEnd(_ bytes: [UInt8]) -> Bool { bytes.span.hasLineEnd }

@Suite("RFC 8259: valid and invalid JSON")
struct JSONScannerTests {
    @Test(arguments: JSONVectors.valid)
    func accepts(text: String) {
        let bytes = Array(text.utf8)
        #expect(error(of: bytes) == nil)
        #expect(isJSON(bytes))
    }

    @Test(arguments: JSONVectors.invalid)
    func refuses(text: String, reason: JSONError.Reason, offset: Int) {
        let bytes = Array(text.utf8)
        #expect(error(of: bytes) == JSONError(reason, at: offset))
        #expect(!isJSON(bytes))
    }

    /// The words come at every distance from the beginning of an eight-byte word.
    @Test(arguments: JSONVectors.notUTF8, 0..<10)
    func rejectsInvalidUTF8(bytes: [UInt8], distance: Int) {
        let quote = UInt8(ascii: "\"")
        let padding = [UInt8](repeating: UInt8(ascii: "x"), count: distance)
        let string = [quote] + padding + bytes + padding + [quote]
        #expect(error(of: string) == JSONError(.notUTF8, at: 1 + distance))
    }

    @Test(arguments: JSONVectors.borders, 0..<10)
    func decodesUTF8(scalar: String, distance: Int) throws {
        let padding = String(repeating: "x", count: distance)
        let text = padding + scalar + padding
        let bytes = Array("\"\(text)\"".utf8)
        #expect(try JSONValue(parsing: bytes.span).string == text)
        #expect(try JSONValue(parsing: bytes.span).stringBytes == Array(text.utf8))
    }

    /// Each byte that ends a run of plain ones, at each place in a word.
    @Test(arguments: 0..<20)
    func findsSpecialBytesAnywhere(distance: Int) throws {
        let padding = String(repeating: "~", count: distance)
        for (escape, decoded) in [
            (#"\""#, "\""), (#"\\"#, "\\"), (#"\n"#, "\n"), (#"\u00fc"#, "ü"), ("ü", "ü"), (" ", " "),
            ("\u{7F}", "\u{7F}"),
        ] {
            let bytes = Array("\"\(padding)\(escape)\(padding)\"".utf8)
            #expect(try JSONValue(parsing: bytes.span).string == padding + decoded + padding)
        }
        for control in 0..<0x20 as Range<UInt8> {
            let bytes = Array("\"\(padding)".utf8) + [control] + Array("\(padding)\"".utf8)
            #expect(error(of: bytes) == JSONError(.controlCharacter(control), at: 1 + distance))
        }
    }

    /// Scalars of each length of UTF-8 and of UTF-16, and the borders between them.
    @Test func decodesEscapedScalars() throws {
        let borders = [0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF] as [UInt32]
        let scalars = (Array(stride(from: 0, through: 0x10FFFF, by: 61)) + borders).compactMap(Unicode.Scalar.init)
        let text = String(String.UnicodeScalarView(scalars))
        let escapes = text.utf16.map { String($0, radix: 16, uppercase: $0 % 2 == 0) }
        let written = escapes.map { "\\u" + String(repeating: "0", count: 4 - $0.count) + $0 }.joined()
        #expect(try JSONValue(parsing: Array("\"\(written)\"".utf8).span).string == text)
    }

    /// An escaped word is the same word; what is too long to be it is not decoded.
    @Test func comparesEscapedWords() throws {
        for (text, isWord) in [
            (#""p\u0069ng""#, true), (#""\u0070\u0069\u006e\u0067""#, true), (#""p\u0069n""#, false),
            (#""\u0070\u0069\u006e\u0067s""#, false), (#""\/ing""#, false),
        ] {
            #expect(try JSONValue(parsing: Array(text.utf8).span).says("ping") == isWord, "\(text)")
        }
    }

    /// No beginning of a value is one, but for numbers.
    @Test(arguments: JSONVectors.valid)
    func rejectsTruncatedInput(text: String) {
        let bytes = Array(text.trimmingCharacters(in: .whitespacesAndNewlines).utf8)
        for count in 0..<bytes.count {
            let cut = Array(bytes[..<count])
            guard let last = cut.last, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(last),
                bytes[0] != UInt8(ascii: "[")
            else {
                #expect(!isJSON(cut), "\(count) of \(text)")
                continue
            }
            #expect(
                isJSON(cut) == (Double(String(decoding: cut, as: UTF8.self)) != nil),
                "\(count) of \(text)")
        }
    }

    /// Foundation is lenient with depth and strict with the rest: it must accept whatever we accept.
    @Test(arguments: 0..<300)
    func acceptsNothingThatFoundationRefuses(seed: Int) throws {
        var schedule = TopicSchedule(seed: seed)
        for text in JSONVectors.valid where text != "1e999" {
            var bytes = Array(text.utf8)
            let place = Int.random(in: 0..<bytes.count, using: &schedule)
            switch Int.random(in: 0..<3, using: &schedule) {
            case 0: bytes[place] = Array(#"{}[]",:\u0 1e.-"#.utf8).randomElement(using: &schedule) ?? 0
            case 1: bytes.remove(at: place)
            default: bytes.insert(UInt8.random(in: 0...255, using: &schedule), at: place)
            }
            guard isJSON(bytes) else { continue }
            let number = Double(String(decoding: bytes, as: UTF8.self))
            if let number, !number.isFinite { continue }
            #expect(throws: Never.self, "\(bytes)") {
                try JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed)
            }
        }
    }

    @Test(arguments: ["[", "{\"a\":"])
    func limitsDepth(opening: String) {
        let closing = opening == "[" ? "]" : "}"
        func nested(_ depth: Int) -> [UInt8] {
            Array((String(repeating: opening, count: depth) + "1" + String(repeating: closing, count: depth)).utf8)
        }
        #expect(error(of: nested(64)) == nil)
        #expect(error(of: nested(65)) == JSONError(.tooDeep(maximum: 64), at: 64 * opening.utf8.count))
        #expect(error(of: nested(3), maximumDepth: 2) == JSONError(.tooDeep(maximum: 2), at: 2 * opening.utf8.count))
        #expect(error(of: nested(1), maximumDepth: 0) == JSONError(.tooDeep(maximum: 0), at: 0))
        let bomb = Array(String(repeating: opening, count: 1_000_000).utf8)
        #expect(error(of: bomb) == JSONError(.tooDeep(maximum: 64), at: 64 * opening.utf8.count))
    }

    @Test(arguments: [
        (
            JSONError(.unexpectedByte(UInt8(ascii: "}"), expected: "a value"), at: 12),
            "expected a value, found '}' at byte 12"
        ),
        (JSONError(.unexpectedByte(0, expected: "':'"), at: 0), "expected ':', found 0x00 at byte 0"),
        (
            JSONError(.wrongKind(member: "ttl", expected: "an integer", found: .string), at: 3),
            "\"ttl\": expected an integer, found string at byte 3"
        ),
        (JSONError(.outOfRange(member: "since"), at: 9), "\"since\": number out of range at byte 9"),
        (JSONError(.duplicateMember("op"), at: 10), "a second member \"op\" at byte 10"),
    ])
    func reportsTheErrorAndItsOffset(error: JSONError, text: String) {
        #expect(error.description == text)
    }

    /// At every place of texts of every length up to some blocks, and among bytes that come next to it.
    @Test func findsQuotesEscapesAndControlCharacters() {
        for count in 0..<40 {
            // Bytes on both sides of those that are looked for.
            let neighbours: [UInt8] = [0x20, 0x21, 0x23, 0x5B, 0x5D, 0x7E, 0x7F]
            let plain = (0..<count).map { neighbours[$0 % neighbours.count] }
            let found = plain.span.skipPlain(from: 0)
            #expect(found == count)
            for place in 0..<count {
                for special: UInt8 in [0, 0x1F, 0x22, 0x5C, 0x80, 0xC3, 0xFF] {
                    var bytes = plain
                    bytes[place] = special
                    guard bytes.span.skipPlain(from: 0) == place, bytes.span.skipPlain(from: place) == place,
                        bytes.span.skipPlain(from: place + 1) == count
                    else {
                        Issue.record("\(special) at \(place) of \(count)")
                        return
                    }
                }
            }
        }
    }

    @Test func findsLineEnds() {
        for count in 0..<40 {
            let text = [UInt8](repeating: 0x0B, count: count)
            #expect(!hasLineEnd(text))
            for place in 0..<count {
                for end: UInt8 in [10, 13] {
                    var bytes = text
                    bytes[place] = end
                    #expect(hasLineEnd(bytes), "\(end) at \(place) of \(count)")
                }
            }
        }
    }
}
