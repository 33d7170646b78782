import Synchronization
import Testing
import WSTransport

@Suite("Handler, Chain and Routing: the order of handlers")
struct CompositionTests {
    private final class Log: Sendable {
        private let lines = Mutex<[String]>([])
        var all: [String] { lines.withLock { $0 } }
        func add(_ line: String) { lines.withLock { $0.append(line) } }
    }

    private static func note(_ name: String, in log: Log) -> FunctionHandler {
        FunctionHandler { (message: WebSocketMessage) in
            log.add(([name, message.value] + message.params).joined(separator: "|"))
        }
    }

    private static func message(_ value: String) -> WebSocketMessage {
        let message = WebSocketMessage()
        message.value = value
        return message
    }

    private static func run(_ routing: Routing, _ value: String, _ log: Log) async throws -> String? {
        try await invoke(routing, message(value))
        return log.all.last
    }

    @Test func followsReturnedHandlers() async throws {
        let log = Log()
        let third = Self.note("third", in: log)
        let second = FunctionHandler(returning: { _ in
            log.add("second")
            return third
        })
        let first = FunctionHandler(returning: { _ in
            log.add("first")
            return second
        })
        let next = try await first.invoke(Self.message(""))
        #expect(log.all == ["first"] && next != nil, "one step only")
        try await invoke(first, Self.message("v"))
        #expect(log.all == ["first", "first", "second", "third|v"])
    }

    @Test func runsAChainInOrderUntilTheMessageEnds() async throws {
        let log = Log()
        var chain: Chain = [Self.note("a", in: log), Self.note("b", in: log)]
        chain.append(
            FunctionHandler { (message: WebSocketMessage) in
                log.add("ends")
                message.end()
            })
        chain.append([Self.note("never", in: log)])
        try await invoke(chain, Self.message(""))
        #expect(log.all == ["a|", "b|", "ends"])
        let ended = Self.message("")
        ended.end()
        try await invoke(chain, ended)
        #expect(log.all.count == 3)
    }

    @Test func refusesAMessageOfAnotherKind() async throws {
        let handler = FunctionHandler { (_: ServerRequest) in }
        await #expect(throws: WS.Error.self) { try await invoke(handler, Self.message("")) }
        await #expect(throws: WS.Error.self) { try await invoke(ws.upgrade(.patient) { _ in }, Self.message("")) }
    }

    /// The single outermost group is the value; the groups within it, or the group itself, are the parameters.
    @Test(arguments: [
        ("a", "a|"), ("c", "c|"),
        ("params/123.a456.html", "params|123.a456.html|123|a456"), ("params0/999.html", "params0|"),
        ("params1/789.html", "params1|789|789"), ("params2/123.b456.html", "params2||123|b456"),
        ("params3/123.b456c789.html", "params3|123.b456c789.html|123|b456c789"), ("A", "a|"),
    ])
    func routesByRegularExpressions(value: String, expected: String) async throws {
        let log = Log()
        let routing: Routing = [
            "^a$": Self.note("a", in: log), "^c$": Self.note("c", in: log),
            "^params/(([0-9]+)\\.(([a-z])?[0-9]+)\\.html)$": Self.note("params", in: log),
            "^params0/[0-9]+\\.html$": Self.note("params0", in: log),
            "^params1/([0-9]+)\\.html$": Self.note("params1", in: log),
            "^params2/([0-9]+)\\.(([a-z])?[0-9]+)\\.html$": Self.note("params2", in: log),
            "^params3/(([0-9]+)\\.(([a-z])?[0-9]+([a-z]([0-9]+)))\\.html)$": Self.note("params3", in: log),
        ]
        #expect(try await Self.run(routing, value, log) == expected)
    }

    @Test(arguments: [
        ("/users", "users|"), ("/users/", "users|"), ("/USERS", "users|"), ("/users/7", "user|7|7"),
        ("/users/7/", "user|7|7"), ("/users/x%2Fy", "user|x%2Fy|x%2Fy"), ("/users/7/posts/9", "post||7|9"),
        ("/year/2024", "year||2024|"), ("/year/2024/5", "year||2024|5"), ("/files/a/b.txt", "files|a/b.txt|a/b.txt"),
        ("/tags/a/b/c", "tags|a/b/c|a/b/c"), ("/any", "any||"), ("/any/a/b", "any|a/b|a/b"), ("/dots.txt", "dots|"),
    ])
    func routesByPathPatterns(value: String, expected: String) async throws {
        let log = Log()
        let routing: Routing = [
            "/users": Self.note("users", in: log), "/users/:id": Self.note("user", in: log),
            "/users/:id/posts/:post": Self.note("post", in: log),
            "/year/:year(\\d{4})/:month(\\d+)?": Self.note("year", in: log), "/files/*": Self.note("files", in: log),
            "/tags/:tag+": Self.note("tags", in: log), "/any/:rest*": Self.note("any", in: log),
            "/dots.txt": Self.note("dots", in: log),
        ]
        #expect(try await Self.run(routing, value, log) == expected)
    }

    @Test(arguments: ["/user", "/users/7/8", "/year/24", "/dotsxtxt", "/tags", "", "users"])
    func throwsWithoutAMatch(value: String) async throws {
        let log = Log()
        let routing: Routing = [
            "/users": Self.note("users", in: log), "/users/:id": Self.note("user", in: log),
            "/year/:year(\\d{4})": Self.note("year", in: log), "/tags/:tag+": Self.note("tags", in: log),
            "/dots.txt": Self.note("dots", in: log),
        ]
        await #expect(throws: HTTPRefusal.self) { try await invoke(routing, Self.message(value)) }
        #expect(log.all.isEmpty)
    }

    @Test func theFirstRuleWins() async throws {
        let log = Log()
        var routing: Routing = ["/a": Self.note("map", in: log), "^/a$": Self.note("second", in: log)]
        routing.append("/a", Self.note("appended", in: log))
        #expect(try await Self.run(routing, "/a", log) == "map|")
        var empty = Routing()
        empty.append("/b", Self.note("first", in: log))
        empty.append(["/b": Self.note("later", in: log)] as Routing)
        #expect(try await Self.run(empty, "/b", log) == "first|")
    }

    @Test(arguments: [
        ("/api", "root|"), ("/api/", "root|/"), ("/api/v1/users/3", "user|3|3"), ("/tenant/x/hello", "hello|"),
    ])
    func routesNest(value: String, expected: String) async throws {
        let log = Log()
        let users: Routing = ["/users/:id": Self.note("user", in: log)]
        let routing: Routing = [
            "/api/v1": users,
            "/api": ["^/?$": Self.note("root", in: log)] as Routing,
            "/tenant/:name": ["/hello": Self.note("hello", in: log)] as Routing,
        ]
        let found = try await Self.run(routing, value, log)
        #expect(found == expected || found == expected.replacing("|/", with: "|"))
    }
}
