/// The server's side (RFC 6455 §4.2).
extension Handshake {
    /// A client's request for a WebSocket: a checked head, and values derived from its fields when needed.
    package struct Request: Equatable, Sendable {
        private let head: HTTPRequestHead
        fileprivate var fields: HeaderFields { head.fields }

        fileprivate init(_ head: HTTPRequestHead) { self.head = head }

        /// `Sec-WebSocket-Key`, as received.
        package var key: String { fields.first(.webSocketKey) ?? "" }

        /// The subprotocols offered, in the client's order of preference, each once.
        package var subprotocols: [String] {
            var list: [String] = []
            guard fields.has(.webSocketProtocol) else { return list }
            for offered in fields.list("Sec-WebSocket-Protocol") where !list.contains(offered) { list.append(offered) }
            return list
        }

        /// The extensions offered, in the client's order of preference.
        package var extensions: [NegotiatedExtension] { NegotiatedExtension.list(in: fields) ?? [] }

        /// `Origin`, which browsers send: the page's origin; `nil` if the field is absent.
        package var origin: String? { fields.first(.origin) }

        /// The agreement on permessage-deflate with the first offer that `options` accept; `nil` if there is none.
        package func deflateParameters(_ options: CompressionOptions) -> DeflateParameters? {
            fields.has(.webSocketExtensions) ? DeflateParameters.accept(extensions, options) : nil
        }
    }

    /// Why a handshake is refused.
    package enum Refusal: Error, Equatable, Sendable {
        /// The request does not ask for a WebSocket.
        case notUpgrade
        /// A handshake is a GET.
        case methodNotAllowed
        /// Malformed, with the reason.
        case badRequest(String)
        /// A version other than 13.
        case versionNotSupported

        /// The status to answer with.
        package var status: Int {
            switch self {
            case .notUpgrade, .versionNotSupported: 426
            case .methodNotAllowed: 405
            case .badRequest: 400
            }
        }

        /// The header fields for the response.
        package var fields: HeaderFields {
            switch self {
            case .notUpgrade: ["Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"]
            case .methodNotAllowed: ["Allow": "GET"]
            case .badRequest: [:]
            case .versionNotSupported: ["Sec-WebSocket-Version": version]
            }
        }

        /// A sentence for the body of the response.
        package var reason: String {
            switch self {
            case .notUpgrade: "this is a WebSocket endpoint"
            case .methodNotAllowed: "a WebSocket handshake is a GET"
            case .badRequest(let what): what
            case .versionNotSupported: "only version 13 of WebSocket is supported"
            }
        }
    }

    /// Whether `head` asks for a WebSocket, correctly or not.
    package static func isUpgrade(_ head: HTTPRequestHead) -> Bool {
        head.fields.hasToken(HTTPWord("websocket"), in: .upgrade)
    }

    /// Checks the handshake in `head` for completeness and correctness (RFC 6455 §4.2.1).
    package static func check(_ head: HTTPRequestHead) throws(Refusal) -> Request {
        let fields = head.fields
        if head.method != "GET" || head.versionMinor < 1 || !fields.isUsualHandshake { try checkParts(of: head) }
        // §9.1: a malformed extension fails the connection; an unknown one is not accepted.
        guard NegotiatedExtension.isList(in: fields) else {
            throw .badRequest("Sec-WebSocket-Extensions is not a list of extensions")
        }
        if fields.has(.webSocketProtocol) {
            for offered in fields.list("Sec-WebSocket-Protocol") where !offered.isToken {
                throw .badRequest("Sec-WebSocket-Protocol is not a list of tokens")
            }
        }
        return Request(head)
    }

    /// Checks the parts that are the same in nearly all handshakes, and says what is wrong with them.
    static func checkParts(of head: HTTPRequestHead) throws(Refusal) {
        let fields = head.fields
        guard isUpgrade(head) else { throw .notUpgrade }
        guard head.method == "GET" else { throw .methodNotAllowed }
        guard head.versionMinor >= 1 else { throw .badRequest("a WebSocket handshake needs HTTP/1.1") }
        guard fields.hasToken(.upgrade, in: .connection) else {
            throw .badRequest("Connection does not name upgrade")
        }
        // Bytes after the head are frames; a body would be mistaken for them.
        guard !fields.has(.transferEncoding),
            !fields.has(.contentLength) || fields.all("Content-Length").allSatisfy({ $0 == "0" })
        else {
            throw .badRequest("a WebSocket handshake has no body")
        }
        guard fields.count(of: .webSocketVersion) == 1 else {
            throw .badRequest("Sec-WebSocket-Version is not given once")
        }
        guard fields.says(HTTPWord("13"), in: .webSocketVersion) else { throw .versionNotSupported }
        guard fields.count(of: .webSocketKey) == 1 else {
            throw .badRequest("Sec-WebSocket-Key is not given once")
        }
        guard Base64.byteCount(fields.bytes(ofFirst: .webSocketKey)) == 16 else {
            throw .badRequest("Sec-WebSocket-Key is not 16 bytes in Base64")
        }
        guard fields.count(of: .origin) <= 1 else { throw .badRequest("more than one Origin") }
    }

    /// Makes the response that opens the connection: a head with status 101 (RFC 6455 §4.2.2).
    ///
    /// `subprotocol` is one of those offered, or `nil`; `compression` is the agreement with which an offer was
    /// accepted; `fields` are added unchanged.
    package static func response(
        to request: Request, subprotocol: String? = nil, compression: DeflateParameters? = nil,
        fields: HeaderFields = [:]
    ) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(512)
        bytes.append("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
        bytes.append("Sec-WebSocket-Accept: ")
        bytes.append(accept: request.fields)
        bytes.append("\r\n")
        var own = HeaderFields()
        if let subprotocol { own.append("Sec-WebSocket-Protocol", subprotocol) }
        if let compression { own.append("Sec-WebSocket-Extensions", compression.fieldValue) }
        if !own.isEmpty { own.write(to: &bytes) }
        if !fields.isEmpty { fields.write(to: &bytes) }
        bytes.append("\r\n")
        return bytes
    }
}

extension [UInt8] {
    /// Appends the answer to the key in a request's fields.
    fileprivate mutating func append(accept asked: HeaderFields) {
        let key = asked.bytes(ofFirst: .webSocketKey)
        let digest = Handshake.acceptDigest(for: key)
        Base64.append(digest.span, to: &self)
    }
}
