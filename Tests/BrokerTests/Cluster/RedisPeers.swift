import Dispatch
import Foundation
import Testing

@testable import Broker
@testable import WSTransport

/// Polls, for at most a minute, until a condition holds.
func eventually(_ what: String, _ condition: () throws -> Bool) throws {
    // Other processes do not report what they do.
    let never = DispatchSemaphore(value: 0)
    for _ in 0..<6000 {
        if try condition() { return }
        _ = never.wait(timeout: .now() + 0.01)
    }
    Issue.record("it does not come to this: \(what)")
    throw NothingCame()
}

/// A log in Redis, and an order that it serves.
typealias RedisPeer = LogPeer<RedisLog>

extension LogPeer<RedisLog> {
    convenience init(
        _ node: UInt64, at place: EngineRoute.Place, wakeup: @escaping @Sendable () -> Void = {},
        with change: (inout RedisLog.Options) -> Void = { _ in }
    ) throws {
        var options = RedisLog.Options(cluster: "test", node: node, place: place)
        options.needsPersistence = false
        // On a busy machine, waiting publications must not be refused.
        options.patience = 60_000_000_000
        options.facts = { #"{"name":"\#(node)","recordFormat":2}"# }
        change(&options)
        try self.init(node: node, engine: RedisLog(options), wakeup: wakeup)
        try engine.start(order)
    }

    var status: RedisLog.Status { engine.status }

    func active() throws { try eventually("active: \(status)") { status.state == .active } }

    func refuses(_ text: String) throws {
        try eventually("\(text): \(status.failure ?? "nothing")") { status.failure?.contains(text) ?? false }
    }

    func result(_ text: String) throws {
        try eventually("\(text): \(results)") {
            look()
            return results.last == text
        }
    }
}

/// A primary and a replica, without sentinels.
struct EnginePair {
    let primary: RedisServer
    let replica: RedisServer

    init(_ options: [String] = []) throws {
        primary = try RedisServer(options, port: try RedisServer.freePort())
        replica = try RedisServer(options + ["--replicaof", "127.0.0.1 \(primary.port)"])
    }

    var place: EngineRoute.Place { .addresses([primary.endpoint, replica.endpoint]) }
}

/// A primary with two replicas, watched by three sentinels.
final class EngineTrio {
    private(set) var servers: [RedisServer]
    private let sentinels: [RedisServer]
    private let harness: EngineHarness
    private let links: [Link]

    init() throws {
        harness = try EngineHarness()
        let first = try RedisServer(port: try RedisServer.freePort())
        servers = [first]
        for _ in 0..<2 {
            servers.append(
                try RedisServer(["--replicaof", "127.0.0.1 \(first.port)"], port: try RedisServer.freePort()))
        }
        sentinels = try (0..<3).map { _ in
            try RedisServer(
                port: try RedisServer.freePort(),
                sentinel: """
                    sentinel monitor m 127.0.0.1 \(first.port) 2
                    sentinel down-after-milliseconds m 500
                    sentinel failover-timeout m 4000

                    """)
        }
        links = try sentinels.map { [harness] in try harness.open($0) }
        try settle()
    }

    var place: EngineRoute.Place { .sentinels(sentinels.map(\.endpoint), name: "m", .init()) }

    /// The place of the server that a broker takes for the primary.
    func primary(of peer: RedisPeer) throws -> Int {
        var place: Int?
        try eventually("a primary") {
            place = servers.firstIndex { peer.status.primary == .internet(host: "127.0.0.1", port: $0.port) }
            return place != nil
        }
        return try #require(place)
    }

    /// Waits until all sentinels know one another and two replicas, and these follow the primary.
    func settle() throws {
        try eventually("a whole engine") {
            let masters = try links.map { try Self.facts($0.ask("SENTINEL", "MASTER", "m")) }
            guard let port = masters[0]["port"], let primary = servers.first(where: { port == "\($0.port)" }),
                masters.allSatisfy({
                    $0["port"] == port && $0["flags"] == "master" && $0["num-other-sentinels"] == "2"
                }),
                let following = try? harness.open(primary).ask("ROLE").elements?.last?.elements?.count, following == 2
            else { return false }
            return try links.allSatisfy { link in
                let replicas = (try link.ask("SENTINEL", "REPLICAS", "m").elements ?? []).map(Self.facts)
                return replicas.count == 2 && replicas.allSatisfy { $0["flags"] == "slave" }
            }
        }
    }

    private static func facts(_ value: RESPValue) -> [String: String] {
        let words = (value.elements ?? []).map { $0.text ?? "" }
        var facts: [String: String] = [:]
        for place in stride(from: 0, to: words.count - 1, by: 2) { facts[words[place]] = words[place + 1] }
        return facts
    }

    func failOver() throws { _ = try links[0].ask("SENTINEL", "FAILOVER", "m") }

    /// Kills a process, removes its data, and starts it again.
    ///
    /// - Parameter primary: the primary that it follows as a replica; `nil` if it follows none.
    func restart(_ index: Int, replicaOf primary: Int? = nil) throws {
        let port = servers[index].port
        servers[index].end()
        let options = primary.map { ["--replicaof", "127.0.0.1 \(servers[$0].port)"] } ?? []
        servers[index] = try RedisServer(options, port: port)
    }

    func ask(_ index: Int, _ words: RESPCommand.Word...) throws {
        _ = try harness.open(servers[index]).all([RESPCommand(words)])
    }
}
