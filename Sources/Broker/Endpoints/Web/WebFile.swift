internal import WSTransport

/// A file, compiled into the program, that is served to browsers.
struct WebFile: Sendable {
    private let type: String
    /// A strong entity tag, without its quotation marks.
    private let tag: String
    private let text: [UInt8]
    /// The text with the content coding `gzip`; `nil` if memory ran out.
    private let compressed: [UInt8]?
    private var more: HTTPFields

    init(_ type: String, tag: String, _ text: () -> String) {
        self.type = type
        self.tag = tag
        self.text = Array(text().utf8)
        compressed = Gzip.compressed(self.text)
        more = [:]
    }

    /// The same file with more header fields.
    func with(_ fields: HTTPFields) -> WebFile {
        var file = self
        file.more = fields
        return file
    }

    /// Serves the file at a path.
    func add(to routing: inout Routing, exactly path: String) {
        routing.add(["GET"], exactly: path) { [self] (exchange) throws(HTTPRefusal) in
            try exchange.takesOnly([])
            exchange.respond(answer(to: exchange.request.head.fields))
        }
    }

    /// Responds with the file, or with 304 if the client has it.
    func answer(to fields: HTTPFields) -> OutgoingResponse {
        let packed = Accept.allowsGzip(fields.all("Accept-Encoding").joined(separator: ",")) ? compressed : nil
        let quoted = packed == nil ? "\"\(tag)\"" : "\"\(tag)-gzip\""
        // The URL does not change with the version, so a browser asks each time; mostly the answer is 304.
        var found: HTTPFields = ["ETag": quoted, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"]
        // The comparison is weak (RFC 9110 §13.1.2).
        let known = fields.list("If-None-Match")
        if known.contains(where: { $0 == "*" || $0 == quoted || $0 == "W/" + quoted }) {
            return OutgoingResponse(status: 304, fields: found)
        }
        found.append("Content-Type", type)
        if packed != nil { found.append("Content-Encoding", "gzip") }
        for field in more { found.append(field.name, field.value) }
        return OutgoingResponse(status: 200, fields: found, body: packed ?? text)
    }
}

extension WebFile {
    /// The policy for a script that runs as a worker: it may connect to brokers.
    private static let workerPolicy = "default-src 'none'; connect-src 'self' ws: wss:; script-src 'self'"

    /// Adds the browser's client to `routing`.
    static func addClient(to routing: inout Routing) {
        let script: HTTPFields = ["Content-Security-Policy": workerPolicy, "X-TypeScript-Types": "./client.d.ts"]
        clientScript.with(script).add(to: &routing, exactly: "/client.js")
        sharedClientScript.with(script).add(to: &routing, exactly: "/client-shared.js")
        clientTypes.add(to: &routing, exactly: "/client.d.ts")
    }
}
