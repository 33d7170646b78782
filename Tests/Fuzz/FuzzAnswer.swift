// A server's answer to a handshake is accepted or refused, and an accepted one fits the offer: RFC 6455 §4.1, RFC 7692
// §7.1.
//
// The first byte chooses what was offered, the second the windows. What follows is the whole answer, or only the values
// of Sec-WebSocket-Extensions, one a line, in an answer that is right otherwise.

#if canImport(WSTransport)
    @testable import WSTransport
#endif

private let key = "dGhlIHNhbXBsZSBub25jZQ=="
private let accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
private let subprotocols = ["broker.v1.json", "chat"]

private func options(_ choice: UInt8, _ windows: UInt8) -> CompressionOptions? {
    guard choice & 1 == 0 else { return nil }
    var options = CompressionOptions()
    options.serverNoContextTakeover = choice & 2 != 0
    options.clientNoContextTakeover = choice & 4 != 0
    options.serverWindowBits = 9 + Int(windows & 15) % 7
    options.clientWindowBits = 9 + Int(windows >> 4) % 7
    return options
}

/// The requirements of RFC 7692 §7.1 for an agreement, whatever the answer was.
private func check(_ agreed: DeflateParameters, _ offered: CompressionOptions) {
    precondition(agreed.serverNoContextTakeover || !offered.serverNoContextTakeover, "less than was asked for")
    precondition(agreed.clientNoContextTakeover || !offered.clientNoContextTakeover, "less than was promised")
    for (bits, most) in [
        (agreed.serverWindowBits, offered.serverWindowBits), (agreed.clientWindowBits, offered.clientWindowBits),
    ] {
        precondition((8...15).contains(bits ?? 15) && (bits ?? 15) <= most, "a larger window than was offered")
    }
    let read = NegotiatedExtension.list([agreed.fieldValue])
    precondition(read?.count == 1, "an agreement that cannot be parsed")
    guard let again = read?.first else { return }
    precondition(DeflateParameters.check(again, offered: offered) == agreed, "an agreement that differs from itself")
}

private func check(_ head: HTTPResponseHead, _ offered: CompressionOptions?) {
    let agreement: Handshake.Agreement
    do throws(Handshake.ResponseError) {
        agreement = try Handshake.checkResponse(head, key: key, offered: subprotocols, compression: offered)
    } catch {
        return precondition(!error.reason.isEmpty, "an error without words")
    }
    precondition(head.status == 101 && head.fields.only("Sec-WebSocket-Accept") == accept, "another's answer")
    precondition(agreement.subprotocol.map(subprotocols.contains) ?? true, "a subprotocol that was not offered")
    if let agreed = agreement.compression {
        guard let offered else { preconditionFailure("an extension nobody offered") }
        check(agreed, offered)
    } else {
        // The content of the field is agreed upon or refused, but never ignored.
        let values = head.fields.all("Sec-WebSocket-Extensions")
        precondition(values.allSatisfy { $0.utf8.allSatisfy(",\t ".utf8.contains) }, "an extension overlooked")
    }
}

private func parse(_ bytes: [UInt8]) -> HTTPResponseHead? {
    bytes.withUnsafeBytes { try? HTTPHeadParser.parseResponse($0, maximumHeadSize: 4096)?.head }
}

func fuzzAnswer(_ input: [UInt8]) {
    guard input.count > 2 else { return }
    let offered = options(input[0], input[1])
    if let head = parse(Array(input[2...])) { check(head, offered) }
    var answer = Array("HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: Upgrade\r\n".utf8)
    answer += Array("Sec-WebSocket-Accept: \(accept)\r\n".utf8)
    for value in input[2...].split(separator: 10) {
        answer += Array("Sec-WebSocket-Extensions: ".utf8) + value + [13, 10]
    }
    if let head = parse(answer + [13, 10]) { check(head, offered) }
}
