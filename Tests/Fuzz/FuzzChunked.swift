// Any bytes are a body, an error, or incomplete, and the same however they are cut: RFC 9112 §7.1.
//
// The first byte chooses the size of the pieces.

#if canImport(WSTransport)
    @testable import WSTransport
#endif

private struct Answer: Equatable {
    var body: [UInt8] = []
    var consumed = 0
    var isAtEnd = false
    var error: HTTPParseError?
}

private func decode(_ bytes: [UInt8], pieces size: Int) -> Answer {
    var answer = Answer()
    var decoder = ChunkedDecoder()
    var start = 0
    while start < bytes.count, answer.error == nil {
        let piece = Array(bytes[start..<min(bytes.count, start + size)])
        piece.withUnsafeBytes { input in
            var offset = 0
            do throws(HTTPParseError) {
                while let event = try decoder.next(input, &offset) {
                    if case .data(let range) = event { answer.body += input[range] }
                }
            } catch { answer.error = error }
            answer.consumed += offset
            precondition(decoder.isAtEnd || answer.error != nil || offset == input.count, "unread input")
        }
        start += piece.count
    }
    answer.isAtEnd = decoder.isAtEnd
    return answer
}

func fuzzChunked(_ input: [UInt8]) {
    guard input.count > 1 else { return }
    let bytes = Array(input[1...])
    let whole = decode(bytes, pieces: bytes.count)
    precondition(whole == decode(bytes, pieces: Int(input[0] & 31) + 1), "the cuts make a difference")
}
