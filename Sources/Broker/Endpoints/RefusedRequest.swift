internal import WSTransport

extension HTTPRefusal {
    init(_ refusal: Refusal) {
        self.init(status: refusal.code.status, code: refusal.code.rawValue, message: refusal.message)
    }

    /// The code of the refusal, or the one that its status implies.
    var stated: String { code.isEmpty ? ErrorCode(status: status).rawValue : code }

    /// Counts the refusal under the code that the client is told.
    func count(on shard: Shard) {
        shard.counters.failed(with: ErrorCode(rawValue: stated) ?? ErrorCode(status: status))
    }

    /// The JSON object of the response.
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
    /// Refuses a request; a page that asks for a WebSocket gets a Close frame, because it cannot see a status.
    func refuseVisibly(_ refusal: HTTPRefusal) {
        guard request.method == "GET", Handshake.isUpgrade(request.head), let shard = try? shard() else {
            return refuse(refusal)
        }
        upgrade { request throws(HTTPRefusal) in
            guard let told = Admission(refusing: request, refusal, shard.endpoints.settings.socketOptions) else {
                throw refusal
            }
            refusal.count(on: shard)
            return told
        }
    }
}

extension Admission {
    /// Opens the socket of a refused page only to close it with the reason; `nil` if a status is enough.
    ///
    /// A browser hides every status but 101 from its page.
    fileprivate init?(
        refusing request: Handshake.Request, _ refusal: HTTPRefusal, _ options: WebSocketConnection.Options
    ) {
        guard request.origin != nil, let code = CloseCode(status: refusal.status) else { return nil }
        // If no offered subprotocol is accepted, a browser reports 1006. A token is never repeated.
        let answered = request.subprotocols.first { !Presented.isToken($0) }
        self.init(subprotocol: answered, options: options) { socket in
            socket.close(code, reason: refusal.message)
            return Farewell()
        }
        isRefusal = true
    }
}

/// The session of a page that is told why it was refused.
private final class Farewell: WebSocketSession {
    func received(_ opcode: Opcode, _ payload: Span<UInt8>) {}
    func closed(_ event: CloseEvent) {}
}

extension CloseCode {
    /// The close code for a refused request's status; `nil` if there is none.
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
