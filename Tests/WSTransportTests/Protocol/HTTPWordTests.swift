import Testing

@testable import WSTransport

@Suite("HTTP words compiled into the source")
struct HTTPWordTests {
    /// Of each length up to more than two words of memory.
    static let words: [(HTTPWord, String)] = [
        (HTTPWord("A"), "A"), (HTTPWord("x-1"), "x-1"), (.cookie, "Cookie"), (.upgrade, "Upgrade"),
        (HTTPWord("13579-ab"), "13579-ab"), (.connection, "Connection"),
        (HTTPWord("permessage-deflat"), "permessage-deflat"),
        (.webSocketExtensions, "Sec-WebSocket-Extensions"), (.authorization, "Authorization"),
        (.contentEncoding, "Content-Encoding"), (.contentLength, "Content-Length"), (.contentType, "Content-Type"),
        (.expect, "Expect"), (.host, "Host"), (.origin, "Origin"), (.transferEncoding, "Transfer-Encoding"),
        (.webSocketKey, "Sec-WebSocket-Key"), (.webSocketProtocol, "Sec-WebSocket-Protocol"),
        (.webSocketVersion, "Sec-WebSocket-Version"),
    ]

    /// Only a limited number of places is remembered.
    @Test(arguments: [0, 1, 253, 254, 255, 256, 300])
    func isFoundAfterAnyNumberOfFields(count: Int) {
        var fields = HeaderFields()
        for number in 0..<count { fields.append("X-\(number)", "a") }
        fields.append("cookie", "b")
        #expect(fields.first(.cookie) == "b" && fields.only(.cookie) == "b" && fields.count(of: .cookie) == 1)
        fields.append("Cookie", "c")
        #expect(fields.first(.cookie) == "b" && fields.only(.cookie) == nil && fields.count(of: .cookie) == 2)
    }

    /// The lengths of both have the same last bits, and both begin and end alike.
    @Test func doesNotMatchANameLongerBy64KiB() {
        let name = "Host" + String(repeating: "s", count: 0xFFFF) + "t"
        let fields: HeaderFields = [name: "a"]
        #expect(name.utf8.count & 0xFFFF == 4)
        #expect(!fields.has(.host) && fields.first(name) == "a")
    }

    @Test(arguments: words)
    func matchesCaseInsensitively(word: HTTPWord, text: String) {
        for name in [text, text.lowercased(), text.uppercased()] {
            var fields: HeaderFields = ["Other": "b", name: "a"]
            #expect(fields.has(word) && fields.count(of: word) == 1 && fields.only(word) == "a")
            #expect(fields.hasToken(HTTPWord("a"), in: word))
            fields.append(name, "c")
            #expect(fields.count(of: word) == 2 && fields.first(word) == "a" && fields.only(word) == nil)
        }
        #expect(!HeaderFields().has(word))
    }

    /// A text that differs at one place is not equal, nor is a part of the word or a longer text.
    @Test(arguments: words)
    func matchesNoOtherText(word: HTTPWord, text: String) {
        let bytes = Array(text.utf8)
        for place in bytes.indices {
            for byte in UInt8(0x20)...0x7E
            where String(UnicodeScalar(byte)).lowercased() != String(UnicodeScalar(bytes[place])).lowercased() {
                var other = bytes
                other[place] = byte
                #expect(!HeaderFields(dictionaryLiteral: (String(decoding: other, as: UTF8.self), "a")).has(word))
            }
        }
        #expect(!HeaderFields(dictionaryLiteral: (String(text.dropLast()), "a"), (text + "s", "a")).has(word))
    }

    @Test(arguments: [
        ("websocket", true), ("WebSocket", true), (" websocket\t, h2c", true), ("h2c,websocket", true), (",", false),
        ("", false), ("websockets", false), ("h2c, web socket", false), ("\"websocket\"", false),
    ])
    func matchesATokenInAList(value: String, isThere: Bool) {
        let fields: HeaderFields = ["Upgrade": "a", "Upgrade": value]
        #expect(fields.hasToken(HTTPWord("websocket"), in: .upgrade) == isThere)
    }
}
