import Broker

/// Inputs for the JSON reader, by the sections of RFC 8259.
enum JSONVectors {
    /// Values that stand alone, each exactly one.
    static let valid = [
        // §3: literals; §2: white space.
        "true", "false", "null", " \t\r\n null \n", "{}", "[]", " { } ", "[\n]",
        // §4, §5: objects and arrays.
        #"{"a":1}"#, #"{"":""}"#, #"{"a":{"b":[{"c":null}]}}"#, #"{ "a" : 1 , "b" : [ 1 , 2 ] }"#, "[1,2,3]",
        "[[],[[]],{}]",
        #"["a",1,true,false,null,{}]"#,
        // §6: numbers.
        "0", "-0", "1", "-1", "10", "1234567890", "0.5", "-0.0", "1.25", "1e5", "1E5", "1e+5", "1e-5", "-1.5E-10",
        "0e0",
        "1e999", "123456789012345678901234567890", "[0]", "[-0.1e+1,2]",
        // §7: strings.
        #""""#, #""a""#, #""\"\\\/\b\f\n\r\t""#, #""\u0000""#, #""\u00e9\u20AC""#, #""\ud83d\ude00""#,
        #""\uDBFF\uDFFF""#,
        "\"é€😀\"", "\"\u{7F}\u{80}\u{2028}\u{FFFF}\u{10FFFF}\"",
        #""a string of plain characters, longer than a word or two""#,
        #""\u005C\u0022""#, "\"exactly8\"", "\"sevench\"", "\"ninechars\"",
    ]

    /// Texts that are not JSON, and the first offset at which that shows.
    static let invalid: [(String, JSONError.Reason, Int)] = [
        ("", .unexpectedEnd, 0),
        (" ", .unexpectedEnd, 1),
        ("tru", .unexpectedEnd, 3),
        ("trux", .unexpectedByte(UInt8(ascii: "x"), expected: "'true'"), 3),
        ("True", .unexpectedByte(UInt8(ascii: "T"), expected: "a value"), 0),
        ("truefalse", .trailingBytes, 4),
        ("null null", .trailingBytes, 5),
        ("\u{FEFF}null", .unexpectedByte(0xEF, expected: "a value"), 0),
        ("\u{0B}null", .unexpectedByte(0x0B, expected: "a value"), 0),
        ("NaN", .unexpectedByte(UInt8(ascii: "N"), expected: "a value"), 0),
        ("'a'", .unexpectedByte(UInt8(ascii: "'"), expected: "a value"), 0),
        ("{", .unexpectedEnd, 1),
        ("{]", .unexpectedByte(UInt8(ascii: "]"), expected: "a member's name"), 1),
        ("{a:1}", .unexpectedByte(UInt8(ascii: "a"), expected: "a member's name"), 1),
        (#"{"a"}"#, .unexpectedByte(UInt8(ascii: "}"), expected: "':'"), 4),
        (#"{"a":}"#, .unexpectedByte(UInt8(ascii: "}"), expected: "a value"), 5),
        (#"{"a":1,}"#, .unexpectedByte(UInt8(ascii: "}"), expected: "a member's name"), 7),
        (#"{"a":1 "b":2}"#, .unexpectedByte(UInt8(ascii: "\""), expected: "',' or '}'"), 7),
        (#"{,"a":1}"#, .unexpectedByte(UInt8(ascii: ","), expected: "a member's name"), 1),
        (#"{1:1}"#, .unexpectedByte(UInt8(ascii: "1"), expected: "a member's name"), 1),
        (#"{"a":1/**/}"#, .unexpectedByte(UInt8(ascii: "/"), expected: "',' or '}'"), 6),
        ("[1,]", .unexpectedByte(UInt8(ascii: "]"), expected: "a value"), 3),
        ("[,1]", .unexpectedByte(UInt8(ascii: ","), expected: "a value"), 1),
        ("[1 2]", .unexpectedByte(UInt8(ascii: "2"), expected: "',' or ']'"), 3),
        ("[1}", .unexpectedByte(UInt8(ascii: "}"), expected: "',' or ']'"), 2),
        ("]", .unexpectedByte(UInt8(ascii: "]"), expected: "a value"), 0),
        ("[]]", .trailingBytes, 2),
        ("01", .malformedNumber, 0),
        ("-01", .malformedNumber, 0),
        ("00", .malformedNumber, 0),
        ("-", .unexpectedEnd, 1),
        ("-a", .malformedNumber, 0),
        ("+1", .unexpectedByte(UInt8(ascii: "+"), expected: "a value"), 0),
        (".5", .unexpectedByte(UInt8(ascii: "."), expected: "a value"), 0),
        ("1.", .unexpectedEnd, 2),
        ("1.e5", .malformedNumber, 0),
        ("1e", .unexpectedEnd, 2),
        ("1e+", .unexpectedEnd, 3),
        ("1e+-5", .malformedNumber, 0),
        ("[1e]", .malformedNumber, 1),
        ("1a", .trailingBytes, 1),
        ("0x10", .trailingBytes, 1),
        ("-Infinity", .malformedNumber, 0),
        ("\"", .unexpectedEnd, 1),
        ("\"a", .unexpectedEnd, 2),
        (#""\"#, .unexpectedEnd, 2),
        (#""\""#, .unexpectedEnd, 3),
        (#""\x41""#, .malformedEscape, 1),
        (#""\'""#, .malformedEscape, 1),
        (#""ab\U0041""#, .malformedEscape, 3),
        (#""\u12G4""#, .malformedEscape, 1),
        (#""\u123""#, .malformedEscape, 1),
        (#""\u12"#, .unexpectedEnd, 5),
        (#""\ud800""#, .loneSurrogate, 1),
        (#""\ud800x""#, .loneSurrogate, 1),
        (#""\ud800\n""#, .loneSurrogate, 1),
        (#""\ud800\u0041""#, .loneSurrogate, 1),
        (#""\ud800\ud800""#, .loneSurrogate, 1),
        (#""\udc00""#, .loneSurrogate, 1),
        (#""\ude00\ud83d""#, .loneSurrogate, 1),
        (#""\ud83d\u00""#, .malformedEscape, 7),
        ("\"a\u{0}\"", .controlCharacter(0), 2),
        ("\"12345678\u{1F}\"", .controlCharacter(0x1F), 9),
        ("\"a\nb\"", .controlCharacter(0x0A), 2),
        ("\"a\tb\"", .controlCharacter(0x09), 2),
    ]

    /// Strings that are not UTF-8 (Unicode 3.9, table 3-7), without their quotation marks.
    static let notUTF8: [[UInt8]] = [
        [0x80], [0xBF], [0xC0, 0x80], [0xC1, 0xBF], [0xC2], [0xC2, 0x20], [0xC2, 0xC0], [0xE0, 0x80, 0x80],
        [0xE0, 0x9F, 0xBF],
        [0xE1, 0x80], [0xE1, 0x80, 0x20], [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF], [0xEF, 0xBF],
        [0xF0, 0x80, 0x80, 0x80],
        [0xF0, 0x8F, 0xBF, 0xBF], [0xF0, 0x90, 0x80], [0xF0, 0x90, 0x20, 0x80], [0xF4, 0x90, 0x80, 0x80],
        [0xF5, 0x80, 0x80, 0x80],
        [0xFE], [0xFF],
    ]

    /// Well-formed UTF-8 at the borders of each length.
    static let borders = [
        "\u{80}", "\u{7FF}", "\u{800}", "\u{FFF}", "\u{1000}", "\u{D7FF}", "\u{E000}", "\u{FFFD}", "\u{FFFF}",
        "\u{10000}", "\u{3FFFF}",
        "\u{40000}", "\u{FFFFF}", "\u{100000}", "\u{10FFFF}",
    ]
}
