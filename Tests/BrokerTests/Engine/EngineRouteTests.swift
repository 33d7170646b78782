import Dispatch
import Glibc
import Synchronization
import Testing

@testable import Broker
@testable import WSTransport

/// The events of a route, for a test's thread.
private final class Events: Sendable {
    private let told = Mutex<[Result<Endpoint, EngineFailure>]>([])
    private let isThere = DispatchSemaphore(value: 0)

    func add(_ event: EngineRoute.Event) {
        let result: Result<Endpoint, EngineFailure> =
            switch event {
            case .open(let link): .success(link.endpoint)
            case .failed(let failure): .failure(failure)
            }
        told.withLock { $0.append(result) }
        isThere.signal()
    }

    /// Waits for the first event from here on that satisfies `condition`.
    func wait(_ condition: (Result<Endpoint, EngineFailure>) -> Bool) throws -> Result<Endpoint, EngineFailure> {
        while true {
            guard isThere.wait(timeout: .now() + 60) == .success else { throw NothingCame() }
            let next = told.withLock { $0.removeFirst() }
            if condition(next) { return next }
        }
    }
}

/// A route on a reactor, which ends with this object.
private final class Guide {
    private struct Owned: @unchecked Sendable { let route: EngineRoute }

    let events = Events()
    private let owned: Owned
    private let harness: EngineHarness

    init(_ harness: EngineHarness, to role: EngineRoute.Role, at place: EngineRoute.Place) throws {
        self.harness = harness
        let events = events
        owned = try harness.run { reactor, answer in
            let route = EngineRoute(to: role, at: place, .init(), .patient, on: reactor) { events.add($0) }
            route.start()
            answer.put(Owned(route: route))
        }
    }

    deinit { harness.remote.run { [owned] _ in owned.route.stop() } }

    func opened(_ endpoint: Endpoint? = nil) throws -> Endpoint {
        try events.wait { result in
            if case .success(let found) = result { endpoint == nil || found == endpoint } else { false }
        }.get()
    }

    func failure(_ text: String) throws {
        _ = try events.wait { result in
            if case .failure(let failure) = result { "\(failure)".contains(text) } else { false }
        }
    }
}

@Suite("EngineRoute: finding the engine by addresses and by sentinels", .serialized)
struct EngineRouteTests {
    private let harness: EngineHarness

    init() throws { harness = try EngineHarness() }

    private static let hello = "*2\r\n$7\r\nversion\r\n$1\r\n7\r\n"

    private static func array(_ words: [String]) -> String {
        "*\(words.count)\r\n" + words.map { "$\($0.utf8.count)\r\n\($0)\r\n" }.joined()
    }

    /// A sentinel that names a primary; `nil`: it knows no primary.
    private func sentinel(_ port: UInt16?, replicas: [[String]] = []) throws -> Impostor {
        try Impostor { words in
            switch (words.first, words.dropFirst().first) {
            case ("HELLO", _): Self.hello
            case (_, "GET-MASTER-ADDR-BY-NAME"): port.map { Self.array(["127.0.0.1", "\($0)"]) } ?? "*-1\r\n"
            default: "*\(replicas.count)\r\n" + replicas.map(Self.array).joined()
            }
        }
    }

    private func survey(_ sentinels: [Endpoint]) throws -> Result<EngineAddresses, EngineFailure> {
        try harness.run { reactor, answer in
            let links = SentinelLinks(.init(), .patient, on: reactor)
            _ = SentinelSurvey.begin(sentinels, name: "m", isSecure: true, over: links, on: reactor) { answer.put($0) }
        }
    }

    private static func secure(_ port: UInt16) -> Endpoint { .internet(host: "127.0.0.1", port: port, isSecure: true) }

    @Test func requiresAMajorityOfAllSentinels() throws {
        func replica(_ port: Int, _ flags: String = "slave") -> [String] {
            ["name", "x", "ip", "127.0.0.1", "port", "\(port)", "flags", flags]
        }
        let replicas = [
            replica(7101), replica(7102, "s_down,slave"), replica(7103, "slave,disconnected"),
        ]
        let (one, other) = (
            try sentinel(7001, replicas: replicas), try sentinel(7001, replicas: [replica(7105)] + replicas)
        )
        let (older, knowsNone) = (try sentinel(7002), try sentinel(nil))
        let gone = Endpoint.unix(path: one.directory.path + "/gone")
        let found = try survey([one.endpoint, older.endpoint, other.endpoint]).get()
        #expect(found.primary == Self.secure(7001) && Set(found.replicas) == [Self.secure(7101), Self.secure(7105)])
        #expect(try survey([one.endpoint, gone, other.endpoint]).get().primary == Self.secure(7001))
        let alone = "\(try #require(try survey([one.endpoint, gone, gone]).error))"
        #expect(alone.hasPrefix("Not 2 of 3 sentinels name the same primary for m: \(gone): "))
        #expect(
            try survey([one.endpoint, older.endpoint]).error
                == .unfit("Not 2 of 2 sentinels name the same primary for m: they do not agree."))
        #expect(
            try survey([knowsNone.endpoint]).error
                == .unfit(
                    "Not 1 of 1 sentinels name the same primary for m: \(knowsNone.endpoint): "
                        + "it knows no primary with the name m."))
        #expect(try survey([]).error != nil)
    }

    /// The first address with the role; until one has it, the route keeps trying.
    @Test func findsTheServerWithTheRole() throws {
        let port = try RedisServer.freePort()
        let primary = try RedisServer(port: port)
        let replica = try RedisServer(["--replicaof", "127.0.0.1 \(port)"])
        let addresses = [replica.endpoint, primary.endpoint]
        let writes = try Guide(harness, to: .primary, at: .addresses(addresses))
        #expect(try writes.opened() == primary.endpoint)
        let reads = try Guide(harness, to: .replica, at: .addresses(addresses.reversed()))
        #expect(try reads.opened() == replica.endpoint)
        primary.signal(SIGKILL)
        try writes.failure("the connection has ended")
        try reads.failure("no replica that follows")
        let link = try harness.open(replica)
        _ = try link.ask("REPLICAOF", "NO", "ONE")
        #expect(try writes.opened() == replica.endpoint)
    }

    /// A sentinel is asked several times a second: over one connection, until that ends.
    @Test func keepsItsLinksToTheSentinels() throws {
        let port = try RedisServer.freePort()
        let primary = try RedisServer(port: port)
        let asked = Mutex<[String]>([])
        let sentinel = try Impostor { words in
            let surveys = asked.withLock { asked in
                asked.append(words.count > 1 && words[0] == "SENTINEL" ? words[1] : words[0])
                return asked.count { $0 == "GET-MASTER-ADDR-BY-NAME" }
            }
            if words[0] == "HELLO" { return Self.hello }
            return surveys == 4 ? "no answer\r\n" : Self.array(["127.0.0.1", "\(port)"])
        }
        let writes = try Guide(
            harness, to: .primary, at: .sentinels([sentinel.endpoint], name: "m", .init()))
        let endpoint = Endpoint.internet(host: "127.0.0.1", port: port)
        #expect(try writes.opened() == endpoint)
        try writes.failure("Not 1 of 1 sentinels")
        #expect(try writes.opened() == endpoint && primary.port == port)
        let survey = "GET-MASTER-ADDR-BY-NAME"
        #expect(asked.withLock { $0.prefix(7) } == ["HELLO", survey, survey, survey, survey, "HELLO", survey])
    }

    /// A real sentinel, asked to fail over: the link leads to the new primary soon.
    @Test func followsASentinelsFailover() throws {
        let ports = try (0..<2).map { _ in try RedisServer.freePort() }
        let servers = [
            try RedisServer(port: ports[0]),
            try RedisServer(["--replicaof", "127.0.0.1 \(ports[0])"], port: ports[1]),
        ]
        let sentinel = try RedisServer(
            port: try RedisServer.freePort(),
            sentinel: """
                sentinel monitor m 127.0.0.1 \(ports[0]) 1
                sentinel down-after-milliseconds m 5000
                sentinel failover-timeout m 5000

                """)
        let place = EngineRoute.Place.sentinels([sentinel.endpoint], name: "m", .init())
        let writes = try Guide(harness, to: .primary, at: place)
        let reads = try Guide(harness, to: .replica, at: place)
        let endpoints = ports.map { Endpoint.internet(host: "127.0.0.1", port: $0) }
        #expect(try writes.opened() == endpoints[0] && reads.opened() == endpoints[1])
        let link = try harness.open(sentinel)
        #expect(try link.ask("SENTINEL", "FAILOVER", "m") == .simple("OK"))
        #expect(try writes.opened() == endpoints[1])
        #expect(servers.count == 2)
    }
}
