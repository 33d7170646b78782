// A client's handshake is accepted or refused, and our own client accepts the answer: RFC 6455 §4.2,
// RFC 7692 §5, §7.1.
//
// The first two bytes choose what the server wants, the next two what a client of our own offers. What follows is a
// whole request, or only the values of Sec-WebSocket-Extensions, one a line, in a request that is right otherwise.

#if canImport(WSTransport)
    @testable import WSTransport
#endif

private func options(_ choice: UInt8, _ windows: UInt8) -> CompressionOptions {
    var options = CompressionOptions()
    options.serverNoContextTakeover = choice & 1 != 0
    options.clientNoContextTakeover = choice & 2 != 0
    options.serverWindowBits = 9 + Int(windows & 15) % 7
    options.clientWindowBits = 9 + Int(windows >> 4) % 7
    return options
}

private func parse(_ bytes: [UInt8]) -> HTTPRequestHead? {
    bytes.withUnsafeBytes { try? HTTPHeadParser.parse($0, maximumHeadSize: 4096)?.head }
}

private func answer(_ request: Handshake.Request, _ agreed: DeflateParameters?) -> HTTPResponseHead {
    let bytes = Handshake.response(to: request, subprotocol: request.subprotocols.last, compression: agreed)
    let parsed = bytes.withUnsafeBytes { try? HTTPHeadParser.parseResponse($0, maximumHeadSize: 4096) }
    guard let parsed, parsed.byteCount == bytes.count else { preconditionFailure("an answer that is no head") }
    return parsed.head
}

/// The permitted answers of a server to arbitrary offers (RFC 7692 §7.1).
private func check(_ agreed: DeflateParameters, _ offers: [NegotiatedExtension], _ wanted: CompressionOptions) {
    precondition(agreed.serverNoContextTakeover || !wanted.serverNoContextTakeover, "not as the server wants it")
    precondition((9...15).contains(agreed.serverWindowBits ?? 15), "a window that zlib has not")
    precondition((agreed.serverWindowBits ?? 15) <= wanted.serverWindowBits, "a larger window than the server wants")
    func isAnswered(_ offer: NegotiatedExtension) -> Bool {
        offer.name == "permessage-deflate"
            && offer.parameters.allSatisfy { parameter in
                switch parameter.name {
                case "server_no_context_takeover": agreed.serverNoContextTakeover
                case "server_max_window_bits":
                    (agreed.serverWindowBits ?? 16) <= (parameter.value.flatMap { Int($0) } ?? 0)
                case "client_max_window_bits":
                    (agreed.clientWindowBits ?? 0) <= (parameter.value.flatMap { Int($0) } ?? 15)
                default: parameter.name == "client_no_context_takeover"
                }
            }
            // Only a client that supports the parameter can be limited.
            && (agreed.clientWindowBits == nil
                || offer.parameters.contains { $0.name == "client_max_window_bits" })
    }
    precondition(offers.contains(where: isAnswered), "an answer to no offer")
}

private func check(_ head: HTTPRequestHead, _ wanted: CompressionOptions) {
    let request: Handshake.Request
    do throws(Handshake.Refusal) {
        request = try Handshake.check(head)
    } catch {
        return precondition((400...426).contains(error.status) && !error.reason.isEmpty, "a refusal without words")
    }
    precondition(head.method == "GET" && Base64.decode(request.key)?.count == 16, "no handshake")
    precondition(Set(request.subprotocols).count == request.subprotocols.count, "a subprotocol twice")
    let agreed = request.deflateParameters(wanted)
    if let agreed { check(agreed, request.extensions, wanted) }
    let head = answer(request, agreed)
    // A client that offered nothing must not get an extension, and detects one.
    let taken = try? Handshake.checkResponse(head, key: request.key, offered: request.subprotocols)
    precondition((taken == nil) == (agreed != nil), "an answer that is refused, or taken unasked")
    precondition(taken == nil || taken?.subprotocol == request.subprotocols.last, "another subprotocol")
}

/// Whatever our client offers and our server wants, the client accepts the answer.
private func checkOurOwnClient(_ wanted: CompressionOptions, _ offered: CompressionOptions, _ noise: [UInt8]) {
    let key = Base64.encode(Array((noise + [UInt8](repeating: 7, count: 16)).prefix(16)))
    let bytes = Handshake.request(
        host: "a", path: String(decoding: noise, as: UTF8.self), key: key, subprotocols: ["one", "two"],
        compression: offered)
    guard let head = parse(bytes) else {
        // The caller chooses the path: it may be invalid.
        return
    }
    guard let request = try? Handshake.check(head), let agreed = request.deflateParameters(wanted) else {
        preconditionFailure("an offer of our own that nobody takes")
    }
    let taken = try? Handshake.checkResponse(
        answer(request, agreed), key: key, offered: ["one", "two"], compression: offered)
    precondition(taken?.subprotocol == "two" && taken?.compression != nil, "an answer of our own that is refused")
}

func fuzzRequest(_ input: [UInt8]) {
    guard input.count > 4 else { return }
    let wanted = options(input[0], input[1])
    let rest = Array(input[4...])
    if let head = parse(rest) { check(head, wanted) }
    var request = Array("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n".utf8)
    request += Array("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n".utf8)
    for value in rest.split(separator: 10) { request += Array("Sec-WebSocket-Extensions: ".utf8) + value + [13, 10] }
    if let head = parse(request + [13, 10]) { check(head, wanted) }
    checkOurOwnClient(wanted, options(input[2], input[3]), rest)
}
