import Broker
import Testing

@Suite("MQTT 5.0 §4.7.3: topic names")
struct TopicTests {
    @Test(arguments: [
        "a", "/", "//", "/finance", "sport/tennis/player1", "sport/tennis/player1/ranking", "ACCOUNTS",
        "Accounts payable",
        "a//b", "a/", "$SYS", "$SYS/broker", "$", "µ/ü", "日本語/トピック", "\u{A0}", "🙂/x", "e\u{301}", "/\u{301}",
        "\u{FEFF}a",
    ])
    func acceptsAndKeepsEveryByte(name: String) throws {
        let topic = try Topic(name)
        #expect(Array(topic.name.utf8) == Array(name.utf8))
        #expect(topic.description == name)
        #expect(try Topic(bytes: Array(name.utf8).span) == topic)
        #expect(try TopicFilter(name).literalTopic == topic)
        #expect(topic.levels.joined(separator: "/").utf8.elementsEqual(name.utf8))
        #expect(topic.levels.count == name.utf8.count { $0 == UInt8(ascii: "/") } + 1)
    }

    static let refused: [(String, TopicError)] = [
        ("", .empty),
        ("a/+/b", .wildcard("+", offset: 2)),
        ("#", .wildcard("#", offset: 0)),
        ("a#", .wildcard("#", offset: 1)),
        ("ab\u{0}", .controlCharacter("\u{0}", offset: 2)),
        ("a\nb", .controlCharacter("\n", offset: 1)),
        ("\r\n", .controlCharacter("\r", offset: 0)),
        ("a\u{1F}", .controlCharacter("\u{1F}", offset: 1)),
        ("\u{7F}", .controlCharacter("\u{7F}", offset: 0)),
        ("ä\u{80}", .controlCharacter("\u{80}", offset: 2)),
        ("a\u{9F}", .controlCharacter("\u{9F}", offset: 1)),
        (String(repeating: "é", count: 513), .tooLong(bytes: 1026, maximum: 1024)),
        (String(repeating: "/", count: 32), .tooManyLevels(33, maximum: 32)),
    ]

    @Test(arguments: refused)
    func refuses(name: String, error: TopicError) {
        #expect(throws: error) { try Topic(name) }
        #expect(throws: error) { try Topic(bytes: Array(name.utf8).span) }
    }

    @Test(
        arguments: [
            [0x61, 0x80], [0xC0, 0xAF], [0xC3], [0xED, 0xA0, 0x80], [0xE2, 0x28, 0xA1], [0xF4, 0x90, 0x80, 0x80],
            [0xFF],
            [0xF0, 0x80, 0x80, 0xAF], [0x61, 0xF0, 0x9F, 0x99],
        ] as [[UInt8]])
    func rejectsInvalidUTF8(bytes: [UInt8]) {
        #expect(throws: TopicError.notUTF8) { try Topic(bytes: bytes.span) }
        #expect(throws: TopicError.notUTF8) { try TopicFilter(bytes: bytes.span) }
    }

    @Test func enforcesExactLimits() throws {
        let limits = TopicLimits(maximumBytes: 5, maximumLevels: 3)
        #expect(try Topic("a/b/c", limits: limits).levels == ["a", "b", "c"])
        #expect(throws: TopicError.tooLong(bytes: 6, maximum: 5)) { try Topic("a/b/cd", limits: limits) }
        #expect(throws: TopicError.tooManyLevels(4, maximum: 3)) { try Topic("a///", limits: limits) }
        #expect(throws: TopicError.tooLong(bytes: 6, maximum: 5)) { try TopicFilter("a/b/cd", limits: limits) }
        #expect(throws: TopicError.tooManyLevels(4, maximum: 3)) { try TopicFilter("//+/#", limits: limits) }
        let few = TopicLimits(maximumWildcards: 2)
        #expect(try TopicFilter("+/a/+/#", limits: few).levels.count == 4)
        #expect(throws: TopicError.tooManyWildcards(3, maximum: 2)) { try TopicFilter("+/+/+", limits: few) }
        #expect(throws: TopicError.tooManyWildcards(9, maximum: 8)) { try TopicFilter("+/+/+/+/+/+/+/+/+") }
        #expect(try Topic(String(repeating: "x", count: 1024)).name.utf8.count == 1024)
        #expect(try Topic(String(repeating: "/", count: 31)).levels.count == 32)
    }

    @Test(arguments: [
        ("$SYS", true, true), ("$SYS/x", true, true), ("$SYS/", true, true), ("$SYSTEM", true, false),
        ("$sys", true, false),
        ("$", true, false), ("$share/x", true, false), ("SYS", false, false), ("/$SYS", false, false),
        ("a/$SYS", false, false),
    ])
    func recognizesReservedNames(name: String, isReserved: Bool, isSystem: Bool) throws {
        let topic = try Topic(name)
        #expect(topic.isReserved == isReserved)
        #expect(topic.isSystem == isSystem)
    }

    /// MQTT-4.7.3-4 forbids normalising, while `String` holds canonically equivalent strings to be equal.
    @Test(arguments: [
        ("\u{E9}", "e\u{301}"), ("\u{212B}", "\u{C5}"), ("a\u{323}\u{307}", "a\u{307}\u{323}"), ("a", "A"),
    ])
    func comparesBytes(one: String, other: String) throws {
        #expect(try Topic(one) != Topic(other))
        #expect(try TopicFilter(one) != TopicFilter(other))
        #expect(try !TopicFilter(one).matches(Topic(other)))
        #expect(try !TopicFilter(one + "/+").matches(Topic(other + "/x")))
        #expect(try !TopicFilter(one).covers(TopicFilter(other)))
        #expect(try Set([Topic(one), Topic(other), Topic(one)]).count == 2)
    }

    @Test(arguments: [
        (TopicError.tooLong(bytes: 2000, maximum: 1024), ["2000", "1024"]),
        (.tooManyLevels(40, maximum: 32), ["40", "32"]),
        (.wildcard("+", offset: 7), ["'+'", "byte 7"]),
        (.misplacedWildcard("#", level: 2), ["'#'", "level 2", "last level"]),
        (.misplacedWildcard("+", level: 3), ["'+'", "level 3", "whole level"]),
        (.controlCharacter("\u{7}", offset: 1), ["U+0007", "byte 1"]),
        (.notUTF8, ["UTF-8"]),
        (.empty, ["empty"]),
    ])
    func describesErrorsWithTheirPlace(error: TopicError, parts: [String]) {
        for part in parts { #expect(error.description.contains(part)) }
    }
}
