import Foundation
import Testing

@testable import WSTransport

@Suite("Routing of requests to handlers")
struct RoutingTests {
    private static func harness(prefix: String = "") throws -> HTTPHarness {
        let routes: @Sendable (inout Routing, Stage) -> Void = { routing, _ in
            for (methods, pattern, name) in [
                (["GET"], "/a", "a"), (["PUT", "DELETE"], "/a", "change a"), (["GET"], "/a/*", "below a"),
                (["GET"], "/a/b", "never"), ([], "/any", "any"), (["GET"], "/", "root"),
            ] {
                routing.add(methods, exactly: pattern) { exchange in
                    let text = "\(name): \(exchange.value)"
                    exchange.respond(OutgoingResponse(contentType: "text/plain", text: text))
                }
            }
        }
        return try HTTPHarness(routes: routes, settings: { $0.pathPrefix = prefix })
    }

    private static func ask(_ harness: HTTPHarness, _ method: String, _ target: String) throws -> HTTPPeer.Answer {
        let peer = try harness.connect()
        try peer.send("\(method) \(target) HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        return try peer.readAnswer(isHead: method == "HEAD")
    }

    @Test(arguments: [
        ("GET", "/", "root: "), ("GET", "/a", "a: "), ("GET", "/a?x=/b", "a: "), ("PUT", "/a", "change a: "),
        ("GET", "/a/", "below a: "), ("GET", "/a/b%2Fc/ä", "below a: b%2Fc/ä"), ("GET", "/a/b", "below a: b"),
        ("BREW", "/any", "any: "), ("OPTIONS", "/any", "any: "), ("GET", "http://h/a/q", "below a: q"),
        ("GET", "http://h", "root: "),
    ])
    func findsTheHandler(method: String, target: String, body: String) throws {
        let harness = try Self.harness()
        let target = target.replacingOccurrences(of: "ä", with: "%C3%A4")
        let answer = try Self.ask(harness, method, target)
        #expect(answer.status == 200)
        #expect(answer.body == body.replacingOccurrences(of: "ä", with: "%C3%A4"))
    }

    @Test func listsTheAllowedMethods() throws {
        let harness = try Self.harness()
        let refused = try Self.ask(harness, "POST", "/a")
        #expect(refused.status == 405 && refused.fields.only("Allow") == "GET, PUT, DELETE, HEAD, OPTIONS")
        let asked = try Self.ask(harness, "OPTIONS", "/a")
        #expect(asked.status == 204 && asked.fields.only("Allow") == "GET, PUT, DELETE, HEAD, OPTIONS")
        #expect(try Self.ask(harness, "get", "/a").status == 405, "methods are case-sensitive")
        #expect(try Self.ask(harness, "HEAD", "/a").status == 200)
    }

    @Test(arguments: ["/b", "/A", "/a%2F", "//a", "/ab", "/an", "/any/"])
    func answers404ForOtherPaths(target: String) throws {
        let harness = try Self.harness()
        for method in ["GET", "OPTIONS", "POST"] { #expect(try Self.ask(harness, method, target).status == 404) }
    }

    @Test(arguments: [
        ("/broker/a", 200), ("/broker", 200), ("/broker?x", 200), ("/broker/", 200), ("/brokera", 404),
        ("/a", 404), ("/", 404), ("/broke", 404), ("/broker/broker/a", 404), ("/%62roker/a", 404),
    ])
    func answersOnlyBelowItsPrefix(target: String, status: Int) throws {
        #expect(try Self.ask(try Self.harness(prefix: "/broker"), "GET", target).status == status)
    }
}
