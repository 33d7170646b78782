import Testing

@testable import WSTransport

@Suite("RFC 7692 §5, §7.1: negotiation")
struct DeflateNegotiationTests {
    private static let both = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

    private static func options(
        server: Bool = true, client: Bool = true, serverBits: Int = 15, clientBits: Int = 15
    ) -> CompressionOptions {
        var options = CompressionOptions()
        options.serverNoContextTakeover = server
        options.clientNoContextTakeover = client
        options.serverWindowBits = serverBits
        options.clientWindowBits = clientBits
        return options
    }

    private static let lenient = options(server: false, client: false)

    /// The answer of a server with the defaults to the lines of the field; `nil` if it declines.
    @Test(
        arguments: [
            ([], nil),
            ([""], nil),
            (["x-webkit-deflate-frame"], nil),
            (["permessage-deflate"], both),
            (["permessage-deflate; client_max_window_bits"], both),
            (["permessage-deflate;client_max_window_bits=15"], both + "; client_max_window_bits=15"),
            (["permessage-deflate; client_max_window_bits=8"], both + "; client_max_window_bits=8"),
            (["permessage-deflate; client_max_window_bits=\"10\""], both + "; client_max_window_bits=10"),
            (["permessage-deflate; client_max_window_bits=\"1\\0\""], both + "; client_max_window_bits=10"),
            (["permessage-deflate; server_max_window_bits=15"], both + "; server_max_window_bits=15"),
            (["permessage-deflate; server_max_window_bits=9"], both + "; server_max_window_bits=9"),
            (["permessage-deflate ;\tserver_max_window_bits = 10"], both + "; server_max_window_bits=10"),
            (["permessage-deflate; server_no_context_takeover"], both),
            (["permessage-deflate; client_no_context_takeover; server_no_context_takeover"], both),
            // Parameters that zlib cannot honour, that are out of range, or malformed.
            (["permessage-deflate; server_max_window_bits=8"], nil),
            (["permessage-deflate; server_max_window_bits=7"], nil),
            (["permessage-deflate; server_max_window_bits=16"], nil),
            (["permessage-deflate; server_max_window_bits=010"], nil),
            (["permessage-deflate; server_max_window_bits=+9"], nil),
            (["permessage-deflate; server_max_window_bits=99999999999999999999"], nil),
            (["permessage-deflate; server_max_window_bits=x"], nil),
            (["permessage-deflate; server_max_window_bits"], nil),
            (["permessage-deflate; client_max_window_bits=7"], nil),
            (["permessage-deflate; client_max_window_bits=16"], nil),
            (["permessage-deflate; client_max_window_bits=015"], nil),
            (["permessage-deflate; server_no_context_takeover=1"], nil),
            (["permessage-deflate; client_no_context_takeover=true"], nil),
            (["permessage-deflate; server_no_context_takeover; server_no_context_takeover"], nil),
            (["permessage-deflate; client_max_window_bits; client_max_window_bits=10"], nil),
            (["permessage-deflate; colour=blue"], nil),
            (["permessage-deflate; colour"], nil),
            // The first offer that can be honoured, over all lines of the field.
            (["permessage-deflate; colour, permessage-deflate"], both),
            (
                ["permessage-deflate; server_max_window_bits=8", "permessage-deflate; server_max_window_bits=9"],
                both + "; server_max_window_bits=9"
            ),
            (
                ["permessage-deflate; server_max_window_bits=10, permessage-deflate"],
                both + "; server_max_window_bits=10"
            ),
            (["other; a=\"b\", , permessage-deflate", "third"], both),
        ] as [([String], String?)])
    func answersAnOffer(lines: [String], answer: String?) throws {
        let offers = try #require(NegotiatedExtension.list(lines))
        #expect(DeflateParameters.accept(offers, CompressionOptions())?.fieldValue == answer)
    }

    /// The answer of a server with other options.
    @Test(
        arguments: [
            (lenient, "permessage-deflate", "permessage-deflate"),
            (
                lenient, "permessage-deflate; server_no_context_takeover",
                "permessage-deflate; server_no_context_takeover"
            ),
            (
                lenient, "permessage-deflate; client_no_context_takeover",
                "permessage-deflate; client_no_context_takeover"
            ),
            (options(client: false), "permessage-deflate", "permessage-deflate; server_no_context_takeover"),
            (options(serverBits: 11), "permessage-deflate", both + "; server_max_window_bits=11"),
            (
                options(serverBits: 11), "permessage-deflate; server_max_window_bits=9",
                both + "; server_max_window_bits=9"
            ),
            (
                options(serverBits: 11), "permessage-deflate; server_max_window_bits=13",
                both + "; server_max_window_bits=11"
            ),
            (options(clientBits: 11), "permessage-deflate", both),
            (
                options(clientBits: 11), "permessage-deflate; client_max_window_bits",
                both + "; client_max_window_bits=11"
            ),
            (
                options(clientBits: 11), "permessage-deflate; client_max_window_bits=9",
                both + "; client_max_window_bits=9"
            ),
        ] as [(CompressionOptions, String, String?)])
    func answersAccordingToItsOptions(options: CompressionOptions, offer: String, answer: String?) throws {
        let offers = try #require(NegotiatedExtension.list([offer]))
        #expect(DeflateParameters.accept(offers, options)?.fieldValue == answer)
    }

    @Test(arguments: [
        (lenient, "permessage-deflate; client_max_window_bits"),
        (options(), both + "; client_max_window_bits"),
        (
            options(server: false, client: false, serverBits: 10, clientBits: 11),
            "permessage-deflate; server_max_window_bits=10; client_max_window_bits=11"
        ),
    ])
    func offersAccordingToItsOptions(options: CompressionOptions, offer: String) {
        #expect(DeflateParameters.offer(options) == offer)
    }

    /// The client's agreement after an answer; `nil` if it fails the connection.
    @Test(
        arguments: [
            (lenient, "permessage-deflate", "permessage-deflate"),
            (lenient, "permessage-deflate; server_no_context_takeover; client_no_context_takeover", both),
            // §7.1.2.1: the server may limit its own window unasked.
            (
                lenient, "permessage-deflate; server_max_window_bits=8",
                "permessage-deflate; server_max_window_bits=8"
            ),
            (
                lenient, "permessage-deflate; client_max_window_bits=8",
                "permessage-deflate; client_max_window_bits=8"
            ),
            (options(), both, both),
            (options(), "permessage-deflate; server_no_context_takeover", both),
            (options(), "permessage-deflate", nil),
            (options(serverBits: 10), both, nil),
            (options(serverBits: 10), both + "; server_max_window_bits=11", nil),
            (options(serverBits: 10), both + "; server_max_window_bits=10", both + "; server_max_window_bits=10"),
            (options(clientBits: 10), both, both + "; client_max_window_bits=10"),
            (
                options(clientBits: 10), both + "; client_max_window_bits=12",
                both + "; client_max_window_bits=10"
            ),
            (lenient, "permessage-deflate; client_max_window_bits", nil),
            (lenient, "permessage-deflate; client_max_window_bits=16", nil),
            (lenient, "permessage-deflate; server_max_window_bits=7", nil),
            (lenient, "permessage-deflate; server_max_window_bits", nil),
            (lenient, "permessage-deflate; server_no_context_takeover=1", nil),
            (lenient, "permessage-deflate; server_no_context_takeover; server_no_context_takeover", nil),
            (lenient, "permessage-deflate; colour", nil),
        ] as [(CompressionOptions, String, String?)])
    func checksAnAnswer(options: CompressionOptions, answer: String, agreed: String?) throws {
        let read = try #require(NegotiatedExtension.list([answer])?.first)
        #expect(DeflateParameters.check(read, offered: options)?.fieldValue == agreed)
    }

    @Test(arguments: [
        "a b", "=", ";", "a;", "a;;b", "a; b=", "a; =b", "a; b=\"", "a; b=\"c", "a; b=\"\"", "a; b=\"c d\"", "a; b=c d",
        "a, ;", "ä", "a; b=\"\\\"", "\"a\"", "a; \"b\"",
    ])
    func rejectsMalformedFields(value: String) {
        #expect(NegotiatedExtension.list([value]) == nil)
        let fields: HeaderFields = [
            "Host": "a", "Upgrade": "websocket", "Connection": "upgrade", "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Extensions": value,
        ]
        let head = HTTPRequestHead(method: "GET", target: "/", versionMinor: 1, fields: fields)
        #expect(throws: Handshake.Refusal.badRequest("Sec-WebSocket-Extensions is not a list of extensions")) {
            try Handshake.check(head)
        }
    }

    private static func answer(_ extensions: String...) -> HTTPResponseHead {
        var fields: HeaderFields = [
            "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": Handshake.acceptKey(for: "k"),
        ]
        for value in extensions { fields.append("Sec-WebSocket-Extensions", value) }
        return HTTPResponseHead(status: 101, fields: fields)
    }

    @Test func adoptsTheServersAnswer() throws {
        let agreed = try Handshake.checkResponse(Self.answer(Self.both), key: "k", compression: CompressionOptions())
        #expect(agreed.compression?.fieldValue == Self.both)
        let none = try Handshake.checkResponse(Self.answer(), key: "k", compression: CompressionOptions())
        #expect(none.compression == nil)
    }

    @Test(
        arguments: [
            (answer("other"), .extensionNotOffered), (answer(both, "other"), .extensionNotOffered),
            (answer(both, both), .invalidExtension), (answer("permessage-deflate"), .invalidExtension),
            (answer(both + ";"), .invalidExtension),
        ] as [(HTTPResponseHead, Handshake.ResponseError)])
    func rejectsAnAnswerThatWasNotOffered(head: HTTPResponseHead, error: Handshake.ResponseError) {
        #expect(throws: error) { try Handshake.checkResponse(head, key: "k", compression: CompressionOptions()) }
    }
}
