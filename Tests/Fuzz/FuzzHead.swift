// Any bytes are a head, an error, or incomplete, and more bytes never change an answer: RFC 9112 §2–§6.

#if canImport(WSTransport)
    @testable import WSTransport
#endif

private enum Answer: Equatable {
    case incomplete
    case request(HTTPRequestHead, byteCount: Int)
    case response(HTTPResponseHead, byteCount: Int)
    case error(HTTPParseError)
}

private func request(_ input: UnsafeRawBufferPointer) -> Answer {
    do throws(HTTPParseError) {
        guard let (head, byteCount) = try HTTPHeadParser.parse(input, maximumHeadSize: 1024) else { return .incomplete }
        return .request(head, byteCount: byteCount)
    } catch { return .error(error) }
}

private func response(_ input: UnsafeRawBufferPointer) -> Answer {
    do throws(HTTPParseError) {
        guard let (head, byteCount) = try HTTPHeadParser.parseResponse(input, maximumHeadSize: 1024)
        else { return .incomplete }
        return .response(head, byteCount: byteCount)
    } catch { return .error(error) }
}

private func check(_ input: UnsafeRawBufferPointer, _ parse: (UnsafeRawBufferPointer) -> Answer) -> Answer {
    let whole = parse(input)
    if case .incomplete = whole { precondition(input.count < 1024, "waits above the limit") }
    for count in stride(from: 0, to: input.count, by: max(1, input.count / 16)) {
        let early = parse(UnsafeRawBufferPointer(rebasing: input[..<count]))
        precondition(early == .incomplete || early == whole, "more bytes changed the answer")
    }
    return whole
}

func fuzzHead(_ input: [UInt8]) {
    input.withUnsafeBytes { lookAt($0) }
}

private func lookAt(_ input: UnsafeRawBufferPointer) {
    _ = check(input, response)
    guard case .request(let head, let byteCount) = check(input, request) else { return }
    precondition(byteCount <= input.count && byteCount <= 1024, "a head longer than its input")
    precondition(head.fields.count <= HTTPHeadParser.maximumFieldCount, "too many fields")
    for field in head.fields {
        precondition(!field.name.isEmpty && !field.value.utf8.contains { $0 < 0x20 && $0 != 0x09 }, "a broken field")
    }
    if case .length(let length)? = try? BodyFraming.of(head) { precondition(length > 0, "an empty body with a length") }
    _ = PercentCoding.decode(head.path)
    _ = head.query.flatMap { PercentCoding.decodeQuery($0)?.count }
    if let asked = try? Handshake.check(head) {
        let answer = Handshake.response(to: asked, subprotocol: asked.subprotocols.first)
        let parsed = answer.withUnsafeBytes { response($0) }
        guard case .response(let head, answer.count) = parsed else { preconditionFailure("an answer that is no head") }
        let chosen = try? Handshake.checkResponse(head, key: asked.key, offered: asked.subprotocols).subprotocol
        precondition(chosen == .some(asked.subprotocols.first), "an answer that is refused")
    }
}
