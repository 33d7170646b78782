internal import WSTransport

extension HTTPRefusal {
    init(_ refusal: Refusal) {
        self.init(status: refusal.code.status, code: refusal.code.rawValue, message: refusal.message)
    }

    /// Its code, or the one that its status stands for.
    var stated: String { code.isEmpty ? ErrorCode(status: status).rawValue : code }

    /// The object that the contract has for it.
    var object: [UInt8] {
        var writer = JSONWriter(capacity: 128)
        writer.beginObject()
        writer.name("error")
        writer.beginObject()
        writer.member("code", stated)
        writer.member("message", message)
        writer.endObject()
        writer.endObject()
        return writer.bytes
    }
}

extension HTTPExchange {
    /// Refuses a request; a page that wants a WebSocket is told by its CLOSE, as it learns nothing of a status.
    func refuseVisibly(_ refusal: HTTPRefusal) {
        guard request.method == "GET", Handshake.isUpgrade(request.head), let shard = try? shard() else {
            return refuse(refusal)
        }
        upgrade { request throws(HTTPRefusal) in
            guard let told = Admission(refusing: request, refusal, shard.endpoints.settings.socketOptions) else {
                throw refusal
            }
            return told
        }
    }
}

extension Admission {
    /// Opens the socket of a page that is refused, only to close it with the reason; `nil`: a status tells it.
    ///
    /// A browser keeps from its page every answer but 101.
    fileprivate init?(
        refusing request: Handshake.Request, _ refusal: HTTPRefusal, _ options: WebSocketConnection.Options
    ) {
        guard request.origin != nil, let code = CloseCode(status: refusal.status) else { return nil }
        // A browser whose offer is not answered makes 1006 of everything; a token is not repeated.
        let answered = request.subprotocols.first { !$0.hasPrefix("bearer.") }
        self.init(subprotocol: answered, options: options) { socket in
            socket.close(code, reason: refusal.message)
            return Farewell()
        }
        isRefusal = true
    }
}

/// The session of a page that is being told why it may not come in.
private final class Farewell: WebSocketSession {
    func received(_ opcode: Opcode, _ payload: Span<UInt8>) {}
    func closed(_ event: CloseEvent) {}
}

extension CloseCode {
    /// What stands for the status of a refused request; `nil`: nothing does.
    fileprivate init?(status: Int) {
        switch status {
        case 400: self = .badRequest
        case 401: self = .unauthenticated
        case 403: self = .forbidden
        case 429: self = .tooManyMessages
        case 503: self = .tryAgainLater
        default: return nil
        }
    }
}
