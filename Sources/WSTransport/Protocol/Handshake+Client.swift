/// The client's side (RFC 6455 §4.1).
extension Handshake {
    /// Why a server's response does not open the connection, in the order of the checks.
    package enum ResponseError: Error, Equatable, Sendable {
        /// A status other than 101.
        case status(Int)
        /// No `Upgrade`.
        case missingUpgrade
        /// An `Upgrade` to another protocol.
        case invalidUpgrade
        /// `Connection` does not name `upgrade`.
        case invalidConnection
        /// No `Sec-WebSocket-Accept`.
        case missingAccept
        /// A `Sec-WebSocket-Accept` that does not match the key.
        case invalidAccept
        /// A subprotocol that was not offered, or more than one.
        case subprotocolNotOffered
        /// An extension that was not offered.
        case extensionNotOffered
        /// Malformed extensions, or parameters that do not answer the offer.
        case invalidExtension

        /// A sentence for people.
        package var reason: String {
            switch self {
            case .status(let status): "server error: status \(status)."
            case .missingUpgrade: "missing Upgrade header."
            case .invalidUpgrade: "invalid Upgrade header."
            case .invalidConnection: "invalid connection header."
            case .missingAccept: "missing Sec-WebSocket-Accept header."
            case .invalidAccept: "invalid Sec-WebSocket-Accept header."
            case .subprotocolNotOffered: "subprotocol was not offered."
            case .extensionNotOffered: "extension was not offered."
            case .invalidExtension: "invalid Sec-WebSocket-Extensions header."
            }
        }
    }

    /// The result of a correct handshake.
    package struct Agreement: Equatable, Sendable {
        /// The subprotocol that the server chose; `nil` if none.
        package let subprotocol: String?
        /// How messages are compressed; `nil` if they are not.
        package let compression: DeflateParameters?
    }

    /// A key for a handshake: 16 unpredictable bytes, in Base64.
    package static func makeKey() -> String {
        var generator = SystemRandomNumberGenerator()
        return Base64.encode((0..<16).map { _ in UInt8(truncatingIfNeeded: generator.next() as UInt64) })
    }

    /// Makes the request for a WebSocket.
    ///
    /// `host` is the value of `Host`, with the port unless it is the scheme's; `path` includes the query and is
    /// already percent-encoded. `Origin` is omitted if `origin` is `nil` or empty. `compression` is offered, unless
    /// it is `nil`. `fields` are added as they are.
    package static func request(
        host: String, path: String, key: String, origin: String? = nil, subprotocols: [String] = [],
        compression: CompressionOptions? = nil, fields: HeaderFields = [:]
    ) -> [UInt8] {
        var bytes = Array("GET ".utf8)
        bytes.append(contentsOf: (path.isEmpty ? "/" : path).utf8.lazy.filter { $0 > 0x20 && $0 < 0x7F })
        bytes.append(contentsOf: " HTTP/1.1\r\n".utf8)
        var own: HeaderFields = [
            "Host": host,
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": key,
            "Sec-WebSocket-Version": version,
        ]
        if let origin, !origin.isEmpty { own.append("Origin", origin) }
        if !subprotocols.isEmpty { own.append("Sec-WebSocket-Protocol", subprotocols.joined(separator: ", ")) }
        if let compression { own.append("Sec-WebSocket-Extensions", DeflateParameters.offer(compression)) }
        appendFields([own, fields], to: &bytes)
        return bytes
    }

    /// Checks the server's response, and returns what it establishes (RFC 6455 §4.1).
    ///
    /// `offered` are the subprotocols of the request, `compression` is what
    /// ``request(host:path:key:origin:subprotocols:compression:fields:)`` offered; `nil` if it offered no extension.
    package static func checkResponse(
        _ head: HTTPResponseHead, key: String, offered: [String] = [], compression: CompressionOptions? = nil
    ) throws(ResponseError) -> Agreement {
        let fields = head.fields
        guard head.status == 101 else { throw .status(head.status) }
        let upgrades = fields.all("Upgrade")
        guard let upgrade = upgrades.first else { throw .missingUpgrade }
        guard upgrades.count == 1, upgrade.isSameIgnoringCase("websocket") else { throw .invalidUpgrade }
        guard fields.hasToken(.upgrade, in: .connection) else { throw .invalidConnection }
        let accepts = fields.all("Sec-WebSocket-Accept")
        guard let accept = accepts.first else { throw .missingAccept }
        guard accepts.count == 1, accept == acceptKey(for: key) else { throw .invalidAccept }
        let chosen = fields.all("Sec-WebSocket-Protocol")
        guard chosen.count <= 1, chosen.allSatisfy(offered.contains) else { throw .subprotocolNotOffered }
        return Agreement(subprotocol: chosen.first, compression: try checkExtensions(fields, offered: compression))
    }

    private static func checkExtensions(
        _ fields: HeaderFields, offered compression: CompressionOptions?
    ) throws(ResponseError) -> DeflateParameters? {
        guard let answers = NegotiatedExtension.list(fields.all("Sec-WebSocket-Extensions")) else {
            throw .invalidExtension
        }
        guard let answer = answers.first else { return nil }
        guard let compression, answers.allSatisfy({ $0.name == DeflateParameters.name }) else {
            throw .extensionNotOffered
        }
        guard answers.count == 1, let agreed = DeflateParameters.check(answer, offered: compression) else {
            throw .invalidExtension
        }
        return agreed
    }
}
