internal import Broker
internal import WSTransport

/// What the broker answered an administrator's question: JSON, as it came.
struct AdminReply {
    /// The answer's `result`.
    let result: [UInt8]
    /// Whether there is more than the broker says at once.
    let isTruncated: Bool

    /// Puts one question to the broker.
    ///
    /// - Parameter members: writes those of the request besides its `id` and `verb`.
    static func ask(
        _ options: ConnectionOptions, _ verb: String, _ members: (inout JSONWriter) -> Void = { _ in }
    ) async throws -> AdminReply {
        let endpoint = try options.adminEndpoint()
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("id", 1)
        writer.member("verb", verb)
        members(&writer)
        writer.endObject()
        var settings = ClientOptions()
        settings.subprotocols = ["broker.admin.v1.json"]
        // Somebody waits for this answer: a broker that hangs is found out sooner than an idle one.
        settings.webSocket.pingInterval = 5_000_000_000
        let client: WebSocket
        do throws(ConnectError) {
            client = try await WS.open(WebSocketURL(endpoint: endpoint, path: "/admin"), client: settings)
        } catch {
            throw Failure.connecting(endpoint, error)
        }
        do {
            try await client.send(.text, writer.bytes)
            guard let message = try await client.receive() else { throw Failure.closed(endpoint, client.closeEvent) }
            let reply = try AdminReply(message.body)
            await client.end()
            return reply
        } catch is WS.Error {
            throw Failure.closed(endpoint, client.closeEvent)
        }
    }

    private init(_ answer: [UInt8]) throws(Failure) {
        var refusal: String?
        do throws(JSONError) {
            let object = try JSONObject.parse(answer.span, maximumDepth: Self.maximumDepth)
            if let error = try object.object("error") {
                let code = try error.string("code") ?? "error"
                refusal = "\(try error.string("message") ?? "refused") (\(code))"
            }
            isTruncated = try object.bool("truncated") ?? false
            result = object.value("result")?.copyRawBytes() ?? Array("null".utf8)
        } catch {
            throw .notUnderstood(error)
        }
        if let refusal { throw .failed(refusal) }
    }

    /// What is nested in a message's data comes on top of the answer.
    static let maximumDepth = 128

    /// Prints the answer as JSON.
    func print() {
        Output.print(result)
        warn()
    }

    /// Prints the answer's elements as a table; `cells` makes a row of each.
    func printTable(
        _ columns: [TextTable.Column], _ cells: (borrowing JSONObject) throws(JSONError) -> [String]
    ) throws(Failure) {
        var rows: [[String]] = []
        do throws(JSONError) {
            let list = try JSONValue(parsing: result.span, maximumDepth: Self.maximumDepth)
            try list.forEachElement { (element) throws(JSONError) in rows.append(try cells(try element.object())) }
        } catch {
            throw .notUnderstood(error)
        }
        TextTable(columns, rows).print()
        warn()
    }

    /// Reads the one object that the answer is.
    func read<Value>(_ body: (borrowing JSONObject) throws(JSONError) -> Value) throws(Failure) -> Value {
        do throws(JSONError) {
            return try body(try JSONObject.parse(result.span, maximumDepth: Self.maximumDepth))
        } catch {
            throw .notUnderstood(error)
        }
    }

    private func warn() { if isTruncated { Output.complain("there are more; ask with a narrower filter") } }
}
