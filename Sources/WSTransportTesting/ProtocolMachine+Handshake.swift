public import WSTransport

/// The opening handshake (RFC 6455 §4).
extension ProtocolMachine {
    /// How far the handshake is.
    enum Handshaking {
        /// A client has sent its request.
        case asked(key: String, protocols: [String], CompressionOptions?, AnswerReader)
        /// A server waits for a request.
        case awaiting(UpgradeOptions)
        /// It is complete or has failed, or there was none.
        case over
    }

    /// Creates a client's side; its request is the first output.
    ///
    /// - Parameters:
    ///   - url: the URL, for the request's path and `Host`.
    ///   - options: subprotocols, origin, header fields, cookies, compression, and the limit of a received message;
    ///     the others do not apply.
    ///   - key: the request's `Sec-WebSocket-Key`, 16 bytes in Base64; `nil` for a random one.
    ///   - maskingKey: the key of each frame, so that its bytes are known; `nil` for random keys.
    ///
    /// Throws `WS.Error.invalidURL` and `WS.Error.invalidOption`, as `ws.open` does.
    public convenience init(
        client url: String, options: ConnectOptions = ConnectOptions(), key: String? = nil, maskingKey: UInt32? = nil
    ) throws(WS.Error) {
        let parsed: WebSocketURL
        do throws(WebSocketURL.ParseError) { parsed = try WebSocketURL(parsing: url) } catch {
            throw .invalidURL("\(url): \(error)")
        }
        try options.check()
        let key = key ?? Handshake.makeKey()
        self.init(
            .client, .asked(key: key, protocols: options.protocols, options.perMessageDeflate, Self.reader),
            options.maxPayload, maskingKey)
        target = parsed.target
        var fields = options.headers
        if !options.cookies.isEmpty {
            fields.append("Cookie", options.cookies.map { "\($0.name)=\($0.value)" }.joined(separator: "; "))
        }
        output = Handshake.request(
            host: parsed.endpoint.hostField, path: parsed.target, key: key, origin: options.origin,
            subprotocols: options.protocols, compression: options.perMessageDeflate, fields: fields)
    }

    /// Creates a server's side, which waits for a request.
    ///
    /// - Parameter options: origins, subprotocols, compression, and the limit of a received message; the others do not
    ///   apply. `authorize` is not called.
    ///
    /// Throws `WS.Error.invalidOption` if an option is invalid.
    public convenience init(server options: UpgradeOptions) throws(WS.Error) {
        try options.check()
        self.init(.server, .awaiting(options), options.maxPayload, nil)
    }

    private static var reader: AnswerReader { AnswerReader { $0 == 101 } }

    /// Reads as much of the handshake as has arrived; `nil` if it is not complete.
    func shakeHands() -> Event? {
        switch handshake {
        case .asked(let key, let protocols, let compression, var reader):
            let read: (byteCount: Int, answer: AnswerReader.Answer?)
            do throws(HTTPParseError) {
                read = try Self.take(begun, &reader)
            } catch {
                return failHandshake(.invalidAnswer(error.inAnswer))
            }
            begun.removeFirst(read.byteCount)
            guard let answer = read.answer else {
                handshake = .asked(key: key, protocols: protocols, compression, reader)
                return nil
            }
            return check(answer, key, protocols, compression)
        case .awaiting(let options):
            let read: (head: HTTPRequestHead, byteCount: Int)?
            do throws(HTTPParseError) {
                read = try Self.parse(begun)
            } catch {
                return refuse(error.status, error.message)
            }
            guard let read else { return nil }
            begun.removeFirst(read.byteCount)
            return accept(read.head, options)
        case .over: return nil
        }
    }

    private static func take(
        _ bytes: [UInt8], _ reader: inout AnswerReader
    ) throws(HTTPParseError) -> (byteCount: Int, answer: AnswerReader.Answer?) {
        try unsafe bytes.span.withUnsafeBytes { (bytes) throws(HTTPParseError) in try unsafe reader.take(bytes) }
    }

    private static func parse(_ bytes: [UInt8]) throws(HTTPParseError) -> (head: HTTPRequestHead, byteCount: Int)? {
        try unsafe bytes.span.withUnsafeBytes { (bytes) throws(HTTPParseError) in
            try unsafe HTTPHeadParser.parse(bytes, maximumHeadSize: maximumHead)
        }
    }

    /// The longest head of a request that a server accepts by default, in bytes.
    private static var maximumHead: Int { 16 * 1024 }

    private func check(
        _ answer: AnswerReader.Answer, _ key: String, _ protocols: [String], _ compression: CompressionOptions?
    ) -> Event {
        guard answer.head.status == 101 else {
            return failHandshake(.refused(status: answer.head.status, body: answer.body))
        }
        do throws(Handshake.ResponseError) {
            let agreed = try Handshake.checkResponse(
                answer.head, key: key, offered: protocols, compression: compression)
            fields = answer.head.fields
            open(subprotocol: agreed.subprotocol, agreed.compression, compression)
            return .opened
        } catch {
            return failHandshake(.invalidAnswer(error.reason))
        }
    }

    private func accept(_ head: HTTPRequestHead, _ options: UpgradeOptions) -> Event {
        do throws(Handshake.Refusal) {
            let request = try Handshake.check(head)
            do throws(HTTPRefusal) { try options.checkOrigin(of: head) } catch {
                return refuse(error.status, error.message)
            }
            let subprotocol = options.choose(request.subprotocols)
            let agreed = options.perMessageDeflate.flatMap { request.deflateParameters($0) }
            output = Handshake.response(to: request, subprotocol: subprotocol, compression: agreed)
            (target, fields) = (head.target, head.fields)
            open(subprotocol: subprotocol, agreed, options.perMessageDeflate)
            return .opened
        } catch {
            return refuse(error.status, error.reason, error.fields)
        }
    }

    private func refuse(_ status: Int, _ reason: String, _ extra: HeaderFields = [:]) -> Event {
        let body = Array(reason.utf8)
        output = Array("HTTP/1.1 \(status) \(HTTPStatus.reason(status))\r\n".utf8)
        (["Content-Length": "\(body.count)", "Connection": "close"] as HeaderFields).write(to: &output)
        extra.write(to: &output)
        output += Array("\r\n".utf8) + body
        return failHandshake(.refused(status: status, body: body))
    }
}
