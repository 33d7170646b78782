// Any bytes are a PROXY header, an error, or incomplete, and more bytes never change an answer.

#if canImport(WSTransport)
    @testable import WSTransport
#endif

private enum Answer: Equatable {
    case incomplete
    case header(ProxyHeader.Found)
    case error(ProxyHeader.Mistake)
}

private func parse(_ input: UnsafeRawBufferPointer) -> Answer {
    do throws(ProxyHeader.Mistake) {
        guard let found = try ProxyHeader.parse(input) else { return .incomplete }
        return .header(found)
    } catch { return .error(error) }
}

func fuzzProxyHeader(_ input: [UInt8]) {
    input.withUnsafeBytes { bytes in
        let whole = parse(bytes)
        switch whole {
        case .incomplete: precondition(bytes.count < ProxyHeader.maximumLength, "waits above the limit")
        case .header(let found):
            precondition(found.byteCount <= min(bytes.count, ProxyHeader.maximumLength), "longer than its input")
            precondition(found.source?.path == nil, "a client without an address of the internet")
        case .error: break
        }
        for count in 0..<min(bytes.count, ProxyHeader.maximumLength + 1) {
            let early = parse(UnsafeRawBufferPointer(rebasing: bytes[..<count]))
            precondition(early == .incomplete || early == whole, "more bytes changed the answer")
        }
    }
}
