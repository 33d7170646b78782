internal import Broker
internal import WSTransport

/// Why the program ends without success.
struct Failure: Error {
    /// The exit status.
    let status: Int32
    let message: String
    /// Whether another attempt may succeed: nothing answers, or the refusal is temporary.
    var isPassing: Bool { status == 2 || isForNow }
    private var isForNow = false

    init(status: Int32, message: String) {
        self.status = status
        self.message = message
    }

    /// The broker refused, or the requested object does not exist.
    static func failed(_ message: String) -> Failure { Failure(status: 1, message: message) }

    /// Nothing answers, or the connection was lost.
    static func unreachable(_ endpoint: Endpoint, _ reason: String) -> Failure {
        Failure(status: 2, message: "cannot reach a broker at \(endpoint): \(reason)")
    }

    /// Wrong usage.
    static func usage(_ message: String) -> Failure { Failure(status: 64, message: message) }

    /// An answer that this program does not understand.
    static func notUnderstood(_ error: JSONError) -> Failure {
        .failed("cannot read the broker's response: \(error)")
    }

    /// The WebSocket could not be opened.
    static func connecting(_ endpoint: Endpoint, _ error: any Error) -> Failure {
        guard case WS.HandshakeError.refused(let status, let body) = error else {
            return .unreachable(endpoint, error is CancellationError ? "cancelled before it was open" : "\(error)")
        }
        var failure = Failure.failed("\(endpoint): \(explanation(in: body) ?? "refused with status \(status)")")
        failure.isForNow = status == 429 || status == 503
        return failure
    }

    /// The WebSocket of an administrator could not be opened.
    static func administering(_ target: Target, _ error: any Error) -> Failure {
        guard case WS.HandshakeError.refused(let status, let body) = error, !target.isSocket else {
            return connecting(target.endpoint, error)
        }
        let explained = explanation(in: body)
        switch status {
        case 401 where target.authorization == nil:
            return .failed(
                "\(target.endpoint): no credentials were presented; use --token-file, $BROKER_TOKEN or brokerctl login")
        case 401:
            return .failed("\(target.endpoint): \(explained ?? "the credentials are not valid") (unauthenticated)")
        case 403: return .failed("\(target.endpoint): \(explained ?? "you may not administer it") (forbidden)")
        case 404:
            return .failed(
                "\(target.endpoint): this listener does not offer administration; its configuration needs admin: true")
        default: return connecting(target.endpoint, error)
        }
    }

    /// The WebSocket ended too early.
    ///
    /// Disconnection by an administrator or a limit is a refusal; anything else means that the broker is unreachable.
    static func closed(_ endpoint: Endpoint, _ socket: WebSocket) -> Failure {
        let code = socket.closeCode ?? .abnormal
        let text = socket.closeReason ?? ""
        let reason = text.isEmpty ? "" : ": \(text)"
        switch code {
        case .abnormal where socket.endReason == .violation:
            return .failed("\(endpoint): the broker violated the WebSocket protocol\(reason)")
        case .abnormal: return Failure(status: 2, message: "the connection to the broker at \(endpoint) was lost")
        case .normal, .goingAway, .serviceRestart, .noStatusReceived:
            return Failure(status: 2, message: "the broker at \(endpoint) went away (\(code.rawValue)\(reason))")
        default: return .failed("\(endpoint): the broker closed the connection (\(code.rawValue)\(reason))")
        }
    }

    /// The message of a refusal's `{"error":{"code":…,"message":…}}`, or its one line of text.
    private static func explanation(in body: [UInt8]) -> String? {
        if let first = body.first, first != UInt8(ascii: "{") { return line(body) }
        do throws(JSONError) {
            let answer = try JSONObject.parse(body.span)
            guard let error = try answer.object("error") else { return nil }
            return try error.string("message")
        } catch {
            return nil
        }
    }

    /// The text if it is one line, so that it fits an error.
    private static func line(_ body: [UInt8]) -> String? {
        let text = body.last == 0x0A ? body.dropLast() : body[...]
        guard text.count <= 200, text.first != UInt8(ascii: "<"), !text.contains(0x0A) else { return nil }
        return Output.printable(String(decoding: text, as: UTF8.self))
    }
}

extension WebSocket {
    /// Closes the socket cleanly, and waits for its end.
    func closeAndWait() async {
        try? close()
        _ = try? await closed()
    }
}
