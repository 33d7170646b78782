internal import WSTransport

/// The page at `/`: subscribe to a filter, publish to a topic, watch.
///
/// Three files, so that its policy can forbid inline scripts.
enum Page {
    /// Adds the page's files to `routing`.
    static func add(to routing: inout Routing) {
        routing.add(["GET"], exactly: "/") { (exchange) throws(HTTPRefusal) in
            exchange.respond(page(at: exchange.request.head))
        }
        routing.add(["GET"], exactly: "/page.js") { (exchange) throws(HTTPRefusal) in
            exchange.respond(file("text/javascript; charset=utf-8", script))
        }
        routing.add(["GET"], exactly: "/page.css") { (exchange) throws(HTTPRefusal) in
            exchange.respond(file("text/css; charset=utf-8", style))
        }
    }

    /// The page, or a redirect to it: its files are found only from a path that ends with `/`.
    private static func page(at head: HTTPRequestHead) -> OutgoingResponse {
        guard head.path.hasSuffix("/") else {
            let place = head.path + "/" + (head.query.map { "?" + $0 } ?? "")
            return OutgoingResponse(status: 308, fields: ["Location": place])
        }
        var response = file("text/html; charset=utf-8", html)
        response.fields.append("Content-Security-Policy", policy)
        return response
    }

    private static func file(_ type: String, _ text: String) -> OutgoingResponse {
        OutgoingResponse(
            status: 200,
            fields: ["Content-Type": type, "Cache-Control": "no-cache"],
            body: Array(text.utf8))
    }

    /// No script or style except the files, no frames around it, no forms that lead elsewhere.
    private static let policy = """
        default-src 'none'; connect-src 'self' ws: wss:; script-src 'self'; style-src 'self'; \
        frame-ancestors 'none'; base-uri 'none'; form-action 'self'
        """

    private static let html = """
        <!doctype html>
        <html lang="en">
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>Broker</title>
        <link rel="stylesheet" href="page.css">
        <h1>Broker</h1>
        <p id="state" role="status">connecting…</p>
        <p id="waiting" role="status"></p>
        <form id="subscribe"><input name="filter" value="#" aria-label="filter"><button>Subscribe</button></form>
        <form id="publish"><input name="topic" value="sensors/1/temp" aria-label="topic">
        <input name="data" value="21.5" aria-label="message"><label><input type="checkbox" name="retain"> retain</label>
        <button>Publish</button></form>
        <table><thead><tr><th>seq</th><th>topic</th><th>message</th></tr></thead><tbody id="messages"></tbody></table>
        <script src="page.js"></script>
        </html>

        """
}
