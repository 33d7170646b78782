internal import WSTransport

/// The console at `/`: the files of `clients/console`, with a policy that permits nothing else.
enum Page {
    /// Adds the page's files to `routing`.
    static func add(to routing: inout Routing) {
        routing.add(["GET"], exactly: "/") { (exchange) throws(HTTPRefusal) in
            exchange.respond(page(for: exchange.request.head))
        }
        WebFile.pageScript.add(to: &routing, exactly: "/page.js")
        WebFile.pageStyle.add(to: &routing, exactly: "/page.css")
    }

    /// The page, or a redirect to its path with a final `/`, from which it finds its files.
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

    /// Scripts and styles from these files only, no text as markup, no framing, no form targets.
    private static let policy = """
        default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
        frame-ancestors 'none'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'
        """
}
