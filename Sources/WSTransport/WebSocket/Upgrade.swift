/// An upgrade handler's decision about a handshake that is otherwise valid.
package struct Admission {
    /// The subprotocol for the response; `nil` for none.
    ///
    /// Must be one of those offered.
    package var subprotocol: String?
    package var options: WebSocketConnection.Options
    /// Whether the socket is opened only to be closed with a reason, and so counts as refused.
    package var isRefusal = false
    /// Makes the session when the response with 101 is being sent.
    package var open: (WebSocketConnection) -> any WebSocketSession

    package init(
        subprotocol: String? = nil, options: WebSocketConnection.Options,
        open: @escaping (WebSocketConnection) -> any WebSocketSession
    ) {
        self.subprotocol = subprotocol
        self.options = options
        self.open = open
    }
}

/// Performs the opening handshake.
///
/// RFC 6455 §4.2.
struct UpgradeHandler: DirectHandler {
    let admit: @Sendable (HTTPExchange, Handshake.Request) throws(HTTPRefusal) -> Admission

    func handle(_ exchange: HTTPExchange) {
        exchange.upgrade { request throws(HTTPRefusal) in try admit(exchange, request) }
    }
}

extension HTTPExchange {
    /// Upgrades the request to a WebSocket, or responds with an error if that is not possible.
    ///
    /// - Parameter admit: decides before the 101; a refusal that it throws is the response.
    package func upgrade(_ admit: (Handshake.Request) throws(HTTPRefusal) -> Admission) {
        let reactor = reactor
        do throws(HTTPRefusal) {
            let request = try Self.checkHandshake(self.request.head)
            let admission = try admit(request)
            guard let stream = takeOver() else { return }
            let agreed = admission.options.values.compression.flatMap { request.deflateParameters($0) }
            let answer = Handshake.response(
                to: request, subprotocol: admission.subprotocol, compression: agreed, fields: extraFields)
            stream.send(answer)
            let socket = WebSocketConnection(
                stream: stream, role: .server, subprotocol: admission.subprotocol ?? "", compression: agreed,
                options: admission.options)
            stream.driver = socket
            let counters = stream.reactor.counters
            if admission.isRefusal { counters.refusedUpgrades.add(1) } else { counters.upgrades.add(1) }
            socket.begin(admission.open(socket))
            stream.resumeReading()
        } catch {
            reactor?.counters.refusedUpgrades.add(1)
            refuse(error)
        }
    }

    /// Throws the refusal of a request that is not a valid handshake.
    static func checkHandshake(_ head: HTTPRequestHead) throws(HTTPRefusal) -> Handshake.Request {
        do throws(Handshake.Refusal) {
            return try Handshake.check(head)
        } catch {
            throw HTTPRefusal(status: error.status, code: "bad-request", message: error.reason, fields: error.fields)
        }
    }
}

extension WS {
    /// A handler that upgrades requests to WebSockets.
    ///
    /// - Parameter admit: decides before the 101, on the connection's reactor; a refusal that it throws becomes the
    ///   response.
    package static func upgrade(
        _ admit: @escaping @Sendable (HTTPExchange, Handshake.Request) throws(HTTPRefusal) -> Admission
    ) -> any DirectHandler {
        UpgradeHandler(admit: admit)
    }
}
