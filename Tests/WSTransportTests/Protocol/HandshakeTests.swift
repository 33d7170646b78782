import Testing

@testable import WSTransport

@Suite("RFC 6455 §4: the opening handshake")
struct HandshakeTests {
    private static let key = "dGhlIHNhbXBsZSBub25jZQ=="

    /// A correct handshake with some fields replaced or, by `nil`, left out.
    private func head(
        _ changes: [String: String?] = [:], method: String = "GET", versionMinor: Int = 1, more: HeaderFields = [:]
    ) -> HTTPRequestHead {
        var fields = HeaderFields()
        let correct = [
            ("Host", "server.example.com"), ("Upgrade", "websocket"), ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", Self.key), ("Sec-WebSocket-Version", "13"),
        ]
        for (name, value) in correct {
            if let value = changes[name] ?? value { fields.append(name, value) }
        }
        for field in more { fields.append(field.name, field.value) }
        return HTTPRequestHead(method: method, target: "/chat", versionMinor: versionMinor, fields: fields)
    }

    private func refusal(_ head: HTTPRequestHead) -> Handshake.Refusal? {
        do throws(Handshake.Refusal) {
            _ = try Handshake.check(head)
            return nil
        } catch { return error }
    }

    @Test func computesTheAcceptKeyOfTheRFC() {
        #expect(Handshake.acceptKey(for: Self.key) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    }

    @Test func acceptsAValidRequest() throws {
        let more: HeaderFields = [
            "Origin": "http://example.com", "Sec-WebSocket-Protocol": "chat, superchat",
            "sec-websocket-protocol": "chat,bearer.a-b_c", "Sec-WebSocket-Extensions": "permessage-deflate; a",
        ]
        let request = try Handshake.check(head(more: more))
        #expect(request.key == Self.key)
        #expect(request.origin == "http://example.com")
        #expect(request.subprotocols == ["chat", "superchat", "bearer.a-b_c"])
        #expect(request.extensions == NegotiatedExtension.list(["permessage-deflate; a"]))
    }

    @Test(arguments: [
        ["Upgrade": "WebSocket"], ["Upgrade": "h2c, WEBSOCKET"], ["Connection": "keep-alive, upgrade"],
        ["Connection": "UPGRADE"], ["Host": "a:80"],
    ])
    func comparesTokensCaseInsensitively(changes: [String: String]) {
        #expect(refusal(head(changes)) == nil)
    }

    /// Nearly all handshakes are found right at one look; that look must never accept what the whole check refuses.
    @Test func theUsualHandshakeIsFoundAtOnceAndNoOther() {
        #expect(head().fields.isUsualHandshake && head(["Upgrade": "WebSocket"]).fields.isUsualHandshake)
        #expect(head(more: ["Origin": "http://a"]).fields.isUsualHandshake && !HeaderFields().isUsualHandshake)
        let names = ["Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version"]
        let others = ["Content-Length": "1", "content-length": "0", "Transfer-Encoding": "chunked", "X": "y"]
        let values: [String?] = [
            nil, "", "websocket", "websocke", "websockeu", "websocket ", "upgrade", "upgradf", "Upgrade, x", "13", "3",
            "12",
            "31", "013", "13,13", "\u{11}\u{13}", Self.key, String(Self.key.dropLast()) + "A",
            String(Self.key.dropLast(3)) + "R==", String(Self.key.dropLast(3)) + "g==", "*" + Self.key.dropFirst(),
            String(repeating: "A", count: 24), String(repeating: "A", count: 20) + "====", "é",
        ]
        var usual = 0
        func look(_ head: HTTPRequestHead) {
            guard head.fields.isUsualHandshake else { return }
            usual += 1
            #expect(throws: Never.self, "\(head.fields)") { try Handshake.checkParts(of: head) }
        }
        for name in names {
            for value in values {
                look(head([name: value]))
                for case let second? in values { look(head([name: value], more: [name: second])) }
            }
        }
        for (name, value) in others { look(head(more: [name: value])) }
        #expect(usual > 10 && !head(more: ["Origin": "a", "origin": "b"]).fields.isUsualHandshake)
        // Further lines than the table has places for.
        var many = HeaderFields()
        for number in 0..<300 { many.append("X-\(number)", "y") }
        for field in head().fields { many.append(field.name, field.value) }
        #expect(!many.isUsualHandshake)
        let late = HTTPRequestHead(method: "GET", target: "/", versionMinor: 1, fields: many)
        #expect(refusal(late) == nil)
    }

    @Test func recognizesUpgradeRequests() {
        #expect(Handshake.isUpgrade(head()))
        #expect(!Handshake.isUpgrade(head(["Upgrade": nil])))
        #expect(!Handshake.isUpgrade(head(["Upgrade": "websocket2"])))
        #expect(refusal(head(["Upgrade": nil])) == .notUpgrade)
    }

    @Test func refusesWithTheRightStatus() {
        #expect(refusal(head(method: "POST")) == .methodNotAllowed)
        #expect(refusal(head(["Sec-WebSocket-Version": "8"])) == .versionNotSupported)
        #expect(Handshake.Refusal.methodNotAllowed.status == 405)
        #expect(Handshake.Refusal.methodNotAllowed.fields.first("Allow") == "GET")
        #expect(Handshake.Refusal.versionNotSupported.status == 426)
        #expect(Handshake.Refusal.versionNotSupported.fields.first("Sec-WebSocket-Version") == "13")
        #expect(Handshake.Refusal.notUpgrade.status == 426)
        #expect(Handshake.Refusal.notUpgrade.fields.first("Upgrade") == "websocket")
    }

    @Test(
        arguments: [
            ["Connection": nil], ["Connection": "close"], ["Connection": "notupgrade"], ["Sec-WebSocket-Version": nil],
            ["Sec-WebSocket-Key": nil], ["Sec-WebSocket-Key": ""], ["Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ"],
            ["Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25j"], ["Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZSE="],
            ["Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZ!=="],
        ] as [[String: String?]])
    func rejectsMissingOrMalformedFields(changes: [String: String?]) {
        #expect(refusal(head(changes))?.status == 400)
    }

    @Test(
        arguments: [
            ["Sec-WebSocket-Key": key], ["Sec-WebSocket-Version": "13"], ["Sec-WebSocket-Protocol": "a b"],
            ["Content-Length": "5"], ["Transfer-Encoding": "chunked"], ["Origin": "a", "origin": "a"],
        ] as [HeaderFields])
    func rejectsRepeatedAndForbiddenFields(more: HeaderFields) {
        #expect(refusal(head(more: more))?.status == 400)
    }

    @Test func refusesHTTP10() {
        #expect(refusal(head(versionMinor: 0))?.status == 400)
    }

    @Test func writesTheResponse() throws {
        let request = try Handshake.check(head(more: ["Sec-WebSocket-Protocol": "chat"]))
        let answer = Handshake.response(to: request, subprotocol: "chat", fields: ["Server": "a\r\nb"])
        #expect(
            String(decoding: answer, as: UTF8.self) == """
                HTTP/1.1 101 Switching Protocols\r
                Upgrade: websocket\r
                Connection: Upgrade\r
                Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r
                Sec-WebSocket-Protocol: chat\r
                Server: a  b\r
                \r\n
                """)
    }

    @Test func bothSidesAgree() throws {
        let key = Handshake.makeKey()
        let asked = Handshake.request(
            host: "a:1", path: "/x?y=1", key: key, origin: "http://a", subprotocols: ["p", "q"], fields: ["X": "1"])
        let parsed = try asked.withUnsafeBytes { try HTTPHeadParser.parse($0, maximumHeadSize: 4096) }
        let head = try #require(parsed).head
        #expect(head.target == "/x?y=1" && head.fields.first("Host") == "a:1" && head.fields.first("X") == "1")
        let request = try Handshake.check(head)
        #expect(request.subprotocols == ["p", "q"] && request.origin == "http://a")
        let answer = Handshake.response(to: request, subprotocol: "q")
        let response = try answer.withUnsafeBytes { try HTTPHeadParser.parseResponse($0, maximumHeadSize: 4096) }
        let agreement = try Handshake.checkResponse(try #require(response).head, key: key, offered: ["p", "q"])
        #expect(agreement == Handshake.Agreement(subprotocol: "q", compression: nil))
    }

    @Test func makesDistinctKeys() {
        #expect(Handshake.makeKey() != Handshake.makeKey())
        #expect(Base64.decode(Handshake.makeKey())?.count == 16)
    }

    @Test func replacesLineEndsInTheRequest() {
        let bytes = Handshake.request(host: "a\r\nb", path: "/ \r\nX: y", key: "k")
        #expect(String(decoding: bytes, as: UTF8.self).hasPrefix("GET /X:y HTTP/1.1\r\nHost: a  b\r\n"))
    }

    private static let accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

    @Test(
        arguments: [
            (200, [:], .status(200)),
            (101, [:], .missingUpgrade),
            (101, ["Upgrade": "h2c"], .invalidUpgrade),
            (101, ["Upgrade": "websocket", "upgrade": "websocket"], .invalidUpgrade),
            (101, ["Upgrade": "websocket"], .invalidConnection),
            (101, ["Upgrade": "websocket", "Connection": "close"], .invalidConnection),
            (101, ["Upgrade": "websocket", "Connection": "upgrade"], .missingAccept),
            (101, ["Upgrade": "websocket", "Connection": "upgrade", "Sec-WebSocket-Accept": "x"], .invalidAccept),
            (
                101,
                [
                    "Upgrade": "websocket", "Connection": "upgrade", "Sec-WebSocket-Accept": accept,
                    "Sec-WebSocket-Protocol": "c",
                ], .subprotocolNotOffered
            ),
            (
                101,
                [
                    "Upgrade": "websocket", "Connection": "upgrade", "Sec-WebSocket-Accept": accept,
                    "Sec-WebSocket-Protocol": "a", "sec-websocket-protocol": "b",
                ], .subprotocolNotOffered
            ),
            (
                101,
                [
                    "Upgrade": "websocket", "Connection": "upgrade", "Sec-WebSocket-Accept": accept,
                    "Sec-WebSocket-Extensions": "permessage-deflate",
                ], .extensionNotOffered
            ),
        ] as [(Int, HeaderFields, Handshake.ResponseError)])
    func rejectsInvalidResponses(status: Int, fields: HeaderFields, error: Handshake.ResponseError) {
        let head = HTTPResponseHead(status: status, fields: fields)
        #expect(throws: error) { try Handshake.checkResponse(head, key: Self.key, offered: ["a", "b"]) }
        #expect(error.reason.hasSuffix("."))
    }

    @Test func acceptsAResponseWithoutSubprotocol() throws {
        let fields: HeaderFields = [
            "upgrade": "WebSocket", "connection": "keep-alive, UPGRADE", "sec-websocket-accept": Self.accept,
        ]
        let head = HTTPResponseHead(status: 101, fields: fields)
        #expect(try Handshake.checkResponse(head, key: Self.key, offered: ["a"]).subprotocol == nil)
    }
}
