internal import WSTransport

/// The console, at `/`: files of `clients/console`, with a policy that lets nothing else run.
enum Page {
    /// Adds the page's files to `routing`.
    static func add(to routing: inout Routing) {
        routing.add(["GET"], exactly: "/") { (exchange) throws(HTTPRefusal) in
            exchange.respond(page(for: exchange.request.head))
        }
        WebFile.pageScript.add(to: &routing, exactly: "/page.js")
        WebFile.pageStyle.add(to: &routing, exactly: "/page.css")
    }

    /// The page, or a redirect to it: its files are found only from a path that ends with `/`.
    private static func page(for head: HTTPRequestHead) -> OutgoingResponse {
        guard head.path.hasSuffix("/") else {
            let place = head.path + "/" + (head.query.map { "?" + $0 } ?? "")
            return OutgoingResponse(status: 308, fields: ["Location": place])
        }
        return document.answer(to: head.fields)
    }

    private static let document = WebFile.pageDocument.with([
        "Content-Security-Policy": policy, "Referrer-Policy": "no-referrer",
    ])

    /// No script or style except the files, no text that becomes markup, no frames around it, no forms that lead elsewhere.
    private static let policy = """
        default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
        frame-ancestors 'none'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'
        """
}
