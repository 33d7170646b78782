// fuzz: Sources/WSTransport

// Any bytes on a stream are a message within its limit or an error, however few arrive at a time, and what is sent is
// read again: RFC 6455 §5, RFC 7692 §6.
//
// The first byte chooses limit and flags, the second how many bytes the stream gives at most.

internal import Glibc
internal import Synchronization

#if canImport(WSTransport)
    @testable import WSTransport
#endif

/// Delivers its bytes in pieces, and discards written ones.
private final class CutStream: ByteStream {
    private let rest: Mutex<ArraySlice<UInt8>>
    private let maximum: Int

    init(_ bytes: [UInt8], pieces maximum: Int) {
        rest = Mutex(bytes[...])
        self.maximum = maximum
    }

    func read(_ count: Int?) async throws -> [UInt8]? {
        rest.withLock { rest in
            let part = Array(rest.prefix(min(count ?? maximum, maximum)))
            rest = rest.dropFirst(part.count)
            return part.isEmpty ? nil : part
        }
    }

    func write(_ bytes: [UInt8]) async throws {
        precondition(bytes.count <= 125 + 14, "more than the answer to a PING")
    }

    func flush() async throws {}
    func close() async {}
}

/// The result of the bytes.
private enum Outcome: Equatable {
    case message(UInt8, [UInt8], masked: Bool, compressed: Bool)
    case error(WS.Error)
}

private func outcomes(of bytes: [UInt8], pieces: Int, limit: Int) async -> [Outcome] {
    let stream = CutStream(bytes, pieces: pieces)
    var outcomes: [Outcome] = []
    while true {
        let message = WebSocketMessage(maxSize: limit)
        do {
            try await message.readFrom(stream)
        } catch let error as WS.Error {
            return outcomes + [.error(error)]
        } catch {
            preconditionFailure("another error")
        }
        let isControl = message.type.isControl
        precondition(message.length <= (isControl ? 125 : limit), "a message above the limit")
        precondition(
            message.type != WS.TEXT || String(validating: message.body, as: UTF8.self) != nil, "text that is not UTF-8")
        outcomes.append(
            .message(message.type.rawValue, message.body, masked: message.masked, compressed: message.compress))
    }
}

/// One message reads exactly the bytes that another has written.
private func checkRoundTrip(_ body: [UInt8], _ choice: UInt8, pieces: Int) async {
    let isText = choice & 1 != 0 && String(validating: body, as: UTF8.self) != nil
    let sent = WebSocketMessage(
        type: isText ? WS.TEXT : WS.BINARY, masked: choice & 2 != 0, compress: choice & 4 != 0)
    sent.write(body)
    let memory = MemoryStream()
    let received = WebSocketMessage(maxSize: body.count)
    do {
        try await sent.sendTo(memory)
        let stream = CutStream(memory.bytes, pieces: pieces)
        try await received.readFrom(stream)
        precondition(received.type == sent.type && received.body == body, "not what was sent")
        precondition(received.masked == sent.masked, "another mask")
        let rest = try await stream.read(nil)
        precondition(rest == nil, "unread bytes")
    } catch { preconditionFailure("an error of our own: \(error)") }
}

/// Runs `body`, and blocks this thread until it has ended.
private func wait(for body: @escaping @Sendable () async -> Void) {
    let done = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    sem_init(done, 0, 0)
    let address = UInt(bitPattern: done)
    Task {
        await body()
        if let done = UnsafeMutablePointer<sem_t>(bitPattern: address) { sem_post(done) }
    }
    while sem_wait(done) != 0 {}
    sem_destroy(done)
    done.deallocate()
}

func fuzzMessage(_ input: [UInt8]) {
    guard input.count > 2 else { return }
    wait {
        let bytes = Array(input[2...])
        let limit = Int(input[0]) * 4
        // Few enough of them that a large input does not take long.
        let pieces = max(Int(input[1] & 31) + 1, bytes.count / 64)
        let whole = await outcomes(of: bytes, pieces: max(1, bytes.count), limit: limit)
        let cut = await outcomes(of: bytes, pieces: pieces, limit: limit)
        precondition(whole == cut, "the cuts make a difference")
        await checkRoundTrip(bytes, input[0], pieces: pieces)
    }
}
