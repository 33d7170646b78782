internal import WSTransport

/// One client of a run: its handshakes, its frames, its dialect.
///
/// Runs on the run's reactor.
final class LoadConnection: StreamDriver {
    let number: Int
    let isSubscriber: Bool
    private let stream: StreamConnection
    private unowned let run: LoadRun
    private let dialect: any LoadDialect
    private let key = Handshake.makeKey()
    private let begun = MonotonicTime.now
    private var machine = WebSocketMachine(role: .client, maximumMessageSize: 16 << 20)
    /// The beginning of a dialect's message that ends in a later frame.
    private var rest: [UInt8] = []
    /// The bytes that the server must send before it is ready.
    private var awaited: [UInt8]?
    /// Reads the answer to the request; `nil` after a 101.
    private var answer: AnswerReader? = AnswerReader { $0 == 101 }
    private var isReady = false
    private var isClosing = false
    /// For each publisher, the number of its next message.
    private var due: [Int32]
    /// When the unacknowledged publications were due, oldest first.
    private var unacknowledged = Fifo<Int64>()

    init(_ run: LoadRun, stream: StreamConnection, number: Int, isSubscriber: Bool) {
        self.run = run
        self.stream = stream
        self.number = number
        self.isSubscriber = isSubscriber
        dialect = run.plan.dialect
        awaited = dialect.readyMark(isSubscriber: isSubscriber, number: number)
        stream.maximumUnsent = run.plan.maximumUnsent
        due = isSubscriber ? Array(repeating: 0, count: run.plan.publishers) : []
    }

    /// Requests a WebSocket, once the socket is connected.
    private func ask() {
        var request = "GET \(dialect.target(of: number)) HTTP/1.1\r\nHost: \(run.plan.host)\r\nUpgrade: websocket\r\n"
        request += "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \(key)\r\n"
        if let subprotocol = dialect.subprotocol { request += "Sec-WebSocket-Protocol: \(subprotocol)\r\n" }
        if run.plan.offersCompression { request += "Sec-WebSocket-Extensions: permessage-deflate\r\n" }
        stream.send(Array((request + "\r\n").utf8))
    }

    /// Sends publications at the end of the turn, by one `send`.
    ///
    /// - Parameter due: when each of them was to be sent, in monotonic nanoseconds.
    func publish(_ messages: [[UInt8]], due: [Int64]) {
        if dialect.isAcknowledged { for time in due { unacknowledged.append(time) } }
        send(messages)
    }

    /// Sends messages at the end of the turn, by one `send`.
    func send(_ messages: [[UInt8]]) {
        guard dialect.isWebSocket else { return stream.send(Array(messages.joined())) }
        var frames: [UInt8] = []
        for message in messages {
            // The key hides nothing on loopback; any key will do.
            FrameEncoder.appendFrame(dialect.opcode, message, maskingKey: MaskingKey(word: 0x1234_5678), to: &frames)
        }
        stream.send(frames)
    }

    /// Begins the closing handshake, if there is a WebSocket to close.
    func close() {
        guard answer == nil, dialect.isWebSocket else { return end() }
        isClosing = true
        var frame: [UInt8] = []
        FrameEncoder.appendFrame(.close, [0x03, 0xE8], maskingKey: .random(), to: &frame)
        stream.send(frame)
    }

    func end() { stream.reset() }

    // MARK: Events of the stream

    func drained() {
        guard !hasAsked else { return }
        guard dialect.isWebSocket else {
            hasAsked = true
            answer = nil
            return opened()
        }
        if let security = run.plan.security, !stream.isSecured { return secure(by: security) }
        hasAsked = true
        ask()
    }

    private var hasAsked = false

    private func secure(by security: LoadPlan.Security) {
        if !stream.secure(asClient: security.context, host: security.name, port: nil) {
            run.cannotOpen(.insecure(.failed("the name \(security.name) cannot be verified")))
        }
    }

    func received(_ bytes: UnsafeMutableRawBufferPointer) -> Int {
        var offset = 0
        if answer != nil {
            offset = unsafe takeAnswer(UnsafeRawBufferPointer(bytes))
            guard answer == nil else { return offset }
        }
        guard dialect.isWebSocket else {
            unsafe take(UnsafeRawBufferPointer(bytes))
            return bytes.count
        }
        while let event = unsafe machine.next(bytes, &offset) {
            switch event {
            case .message(_, .input(let range)):
                unsafe take(UnsafeRawBufferPointer(rebasing: bytes[range]))
            case .message(_, .assembled(let whole)):
                unsafe whole.withUnsafeBytes { unsafe take($0) }
            case .ping(let payload):
                let answer: [UInt8] =
                    switch payload {
                    case .input(let range): unsafe Array(bytes[range])
                    case .assembled(let whole): whole
                    }
                var frame: [UInt8] = []
                FrameEncoder.appendFrame(.pong, answer, maskingKey: .random(), to: &frame)
                stream.send(frame)
            case .close where isClosing: break
            case .close(let code, let reason, _):
                run.fail("the server closed a connection: \(code.map { "\($0.rawValue)" } ?? "no code") \(reason)")
            case .failed(_, let reason, _): run.fail("the server broke the protocol: \(reason)")
            case .pong, .part: break
            }
        }
        return bytes.count
    }

    /// Reads the answer to the request, and returns how many of `bytes` were used.
    private func takeAnswer(_ bytes: UnsafeRawBufferPointer) -> Int {
        do throws(HTTPParseError) {
            guard var reader = answer else { return 0 }
            let (taken, whole) = try unsafe reader.take(bytes)
            answer = reader
            guard let whole else { return taken }
            guard whole.head.status == 101 else {
                run.cannotOpen(.refused(status: whole.head.status, body: whole.body))
                return bytes.count
            }
            if run.plan.offersCompression { compress(whole.head) }
            answer = nil
            opened()
            return taken
        } catch {
            run.cannotOpen(.invalidAnswer("\(error)"))
            return bytes.count
        }
    }

    /// Inflates what the server compresses; the load's own messages are sent uncompressed.
    private func compress(_ response: HTTPResponseHead) {
        let options = CompressionOptions()
        guard let answer = NegotiatedExtension.list(response.fields.all("Sec-WebSocket-Extensions"))?.first,
            let agreed = DeflateParameters.check(answer, offered: options)
        else { return run.fail("the server does not compress") }
        machine = WebSocketMachine(
            role: .client, maximumMessageSize: 16 << 20,
            compression: MessageCompression(agreed, role: .client, options: options, pool: run.deflatePool))
    }

    private func opened() {
        send(dialect.greeting(isSubscriber: isSubscriber, number: number))
        becomeReady()
    }

    private func becomeReady() {
        guard !isReady, awaited == nil else { return }
        isReady = true
        run.connectionReady(after: MonotonicTime.now.nanoseconds(since: begun), stream)
    }

    private func take(_ bytes: UnsafeRawBufferPointer) {
        if rest.isEmpty {
            let taken = unsafe read(bytes)
            if taken < bytes.count { rest = unsafe Array(bytes[taken...]) }
        } else {
            unsafe rest.append(contentsOf: bytes)
            let whole = rest
            let taken = unsafe whole.withUnsafeBytes { unsafe read($0) }
            rest.removeFirst(taken)
        }
    }

    private func read(_ bytes: UnsafeRawBufferPointer) -> Int {
        if !isReady {
            guard let awaited, unsafe bytes.firstRange(of: awaited) != nil else { return bytes.count }
            self.awaited = nil
            becomeReady()
            return bytes.count
        }
        guard isSubscriber else { return unsafe readAnswer(bytes) }
        guard run.plan.publishers > 0 else {
            return unsafe dialect.read(bytes) { _ in run.arrivedFromOthers() }
        }
        return unsafe dialect.read(bytes) { payload in
            guard let message = unsafe LoadPayload(payload, size: run.plan.payloadSize),
                due.indices.contains(message.publisher), message.number == Int(due[message.publisher]),
                !run.plan.isPaired || message.publisher == number
            else {
                if let message = unsafe LoadPayload(payload, size: run.plan.payloadSize),
                    due.indices.contains(message.publisher)
                {
                    due[message.publisher] = Int32(clamping: message.number + 1)
                }
                return run.arrivedWrong()
            }
            due[message.publisher] += 1
            run.arrived(message)
        }
    }

    private func readAnswer(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard dialect.isAcknowledged else { return bytes.count }
        if !unacknowledged.isEmpty, unsafe bytes.firstRange(of: dialect.acknowledgement) != nil {
            if let due = unacknowledged.popFirst() { run.acknowledged(due: due) }
        } else if unsafe bytes.firstRange(of: Array(#""op":"error""#.utf8)) != nil {
            run.fail("a publication was refused: \(unsafe String(decoding: bytes, as: UTF8.self))")
        }
        return bytes.count
    }

    func receivedEnd() {
        if isClosing { return stream.finish() }
        // An answer that was understood says more than the lost connection that follows it.
        if let refusal = answer?.begun { run.cannotOpen(.refused(status: refusal.head.status, body: [])) }
        stream.reset()
    }

    func deadlinePassed() {}
    func fellBehind() {}
    func overflowed() {
        run.fail("the server takes less than is sent to it: more than \(run.plan.maximumUnsent) bytes wait")
    }

    func closed() {
        let cause: ConnectError =
            if let failure = stream.tlsFailure { .insecure(failure) } else if let failure = stream.failure {
                .unreachable(failure)
            } else { .connectionLost }
        run.connectionClosed(wasReady: isReady, cause)
    }
}
