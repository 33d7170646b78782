import Foundation
import Glibc
import Testing

@testable import Broker
@testable import WSTransport

@Suite("EngineLink: commands to a real Redis, and to other servers", .serialized)
struct EngineLinkTests {
    private let harness: EngineHarness

    init() throws { harness = try EngineHarness() }

    private func failure(
        _ endpoint: Endpoint, _ access: EngineLink.Access = .init(), _ limits: EngineLink.Limits = .patient
    ) -> EngineFailure? {
        do { _ = try harness.open(endpoint, access, limits) } catch { return error as? EngineFailure }
        return nil
    }

    @Test func answersInOrder() throws {
        let redis = try RedisServer()
        let link = try harness.open(redis)
        let server = try #require(try link.facts)
        #expect(server.version.hasPrefix("7.") && server.isPrimary)
        let answers = try link.all((1...900).map { _ in ["INCR", "n"] } + [["LPUSH", "n", "x"], ["INCR", "n"]])
        #expect(answers[..<900].map { try? $0.get().integer } == (1...900).map { Int64($0) })
        // A refusal concerns one command.
        guard case .failure(.refused(let error)) = answers[900] else { throw NothingCame() }
        #expect(error.code == "WRONGTYPE" && answers[901] == .success(.integer(901)))
        let large = [UInt8](repeating: 7, count: 5_000_000)
        #expect(try link.ask("SET", "large", .bytes(large)) == .simple("OK"))
        #expect(try link.ask("GET", "large") == .bytes(large))
        #expect(try link.ask("CLIENT", "GETNAME").text == "broker")
    }

    /// A transaction has one answer: what its commands returned, or the first refusal.
    @Test func answersATransactionOnce() throws {
        let redis = try RedisServer()
        let link = try harness.open(redis)
        #expect(try link.transaction([["INCR", "n"], ["INCR", "n"]]).get() == [.integer(1), .integer(2)])
        func refusal(_ commands: RESPCommand...) throws -> String {
            guard case .failure(.refused(let error)) = try link.transaction(commands) else { throw NothingCame() }
            return String(error.code)
        }
        #expect(try refusal(["INCR", "n"], ["LPUSH", "n", "x"], ["INCR", "n"]) == "WRONGTYPE")
        #expect(try link.ask("GET", "n").integer == 4, "a refused command does not undo the others")
        _ = try link.ask("CONFIG", "SET", "maxmemory", "1")
        #expect(try refusal(["GET", "n"], ["INCR", "n"]) == "OOM", "that of EXEC is its consequence")
        _ = try link.ask("CONFIG", "SET", "maxmemory", "0")
        // Each answer belongs to its command.
        let values = try harness.run { [held = link.held] _, answer in
            nonisolated(unsafe) var values: [RESPValue] = []
            for _ in 0..<3 {
                held.link.ask(["INCR", "n"]) { values.append((try? $0.get()) ?? .null) }
                held.link.ask(transaction: [["INCR", "n"], ["INCR", "n"]]) { values += (try? $0.get()) ?? [.null] }
            }
            held.link.ask(["INCR", "n"]) { _ in answer.put(values) }
        }
        #expect(values == (5...13).map { .integer($0) })
    }

    @Test func logsIn() throws {
        let redis = try RedisServer()
        let first = try harness.open(redis)
        _ = try first.ask("ACL", "SETUSER", "b", "on", ">secret", "~broker:*", "+@all")
        _ = try first.ask("CONFIG", "SET", "requirepass", "other")
        var access = EngineLink.Access()
        guard case .refused(let missing)? = failure(redis.endpoint) else { throw NothingCame() }
        #expect(missing.code == "NOAUTH")
        (access.user, access.password) = ("b", "wrong")
        guard case .refused(let wrong)? = failure(redis.endpoint, access) else { throw NothingCame() }
        #expect(wrong.code == "WRONGPASS")
        access.password = "secret"
        let link = try harness.open(redis, access)
        #expect(try link.ask("SET", "broker:a", "1") == .simple("OK"))
        #expect(try link.refusal("SET", "a", "1") == "NOPERM")
        (access.user, access.password) = (nil, "other")
        #expect(try harness.open(redis, access).ask("ACL", "WHOAMI").text == "default")
    }

    /// Each waiting command gets its error once, and then the end is reported.
    @Test func failsWaitingCommandsWhenTheServerStops() throws {
        let redis = try RedisServer()
        let link = try harness.open(redis)
        let answers = try link.all(
            [["BLPOP", "nothing", "0"], ["PING"], ["PING"]].map { RESPCommand($0) }, patience: 200_000_000)
        #expect(
            answers == Array(repeating: .failure(.silent), count: 3), "an answer that does not come in time ends it")
        #expect(try link.end.get() == .silent)
        #expect(try link.all([["PING"]]) == [.failure(.closed)])
        let other = try harness.open(redis)
        #expect(try other.all([["SHUTDOWN", "NOSAVE"], ["PING"]]) == Array(repeating: .failure(.closed), count: 2))
        #expect(try other.end.get() == .closed)
        guard case .unreachable? = failure(redis.endpoint) else { throw NothingCame() }
    }

    @Test func limitsTheCommandsInFlight() throws {
        let redis = try RedisServer()
        var limits = EngineLink.Limits.patient
        limits.maximumCommands = 3
        let link = try harness.open(redis, .init(), limits)
        let answers = try link.all((0..<5).map { _ in ["PING"] })
        #expect(answers.count { $0 == .failure(.busy) } == 2 && answers.count { $0 == .success(.simple("PONG")) } == 3)
        #expect(try link.ask("PING") == .simple("PONG"))
    }

    @Test func refusesServersThatAreNotRedis7() throws {
        let web = try Impostor { _ in "HTTP/1.1 400 Bad Request\r\n\r\n" }
        #expect(failure(web.endpoint) == .malformed(RESPMistake("a line that begins with the byte 72")))
        let old = try Impostor { _ in "*4\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n6.2.6\r\n" }
        #expect(failure(old.endpoint) == .unfit("It is Redis 6.2.6: use Redis 7.0 or later, or Valkey."))
        let other = try Impostor { _ in "+OK\r\n" }
        #expect(failure(other.endpoint) == .unfit("It is not Redis: its answer to HELLO names no version."))
        var limits = EngineLink.Limits()
        limits.timeout = 100_000_000
        let mute = try Impostor { _ in nil }
        #expect(failure(mute.endpoint, .init(), limits) == .silent)
        let chatty = try Impostor { words in
            words.first == "HELLO" ? "*2\r\n$7\r\nversion\r\n$1\r\n7\r\n" : "+PONG\r\n+more\r\n"
        }
        let link = try harness.open(chatty.endpoint)
        #expect(try link.ask("PING") == .simple("PONG"))
        #expect(try link.end.get() == .malformed(RESPMistake("an answer without a command")))
    }

    @Test func speaksTLS() throws {
        let directory = TestDirectory()
        try FileManager.default.createDirectory(atPath: directory.path, withIntermediateDirectories: true)
        let (key, certificate) = (directory.path + "/key.pem", directory.path + "/certificate.pem")
        let openssl = Process()
        openssl.executableURL = URL(filePath: "/usr/bin/env")
        openssl.arguments = [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
            "2",
            "-subj", "/CN=engine", "-addext", "subjectAltName=DNS:engine.example", "-keyout", key, "-out", certificate,
        ]
        openssl.standardError = FileHandle.nullDevice
        try openssl.run()
        openssl.waitUntilExit()
        let port = try RedisServer.freePort()
        let redis = try RedisServer([
            "--tls-port", "\(port)", "--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file",
            certificate,
            "--tls-auth-clients", "no",
        ])
        var access = EngineLink.Access()
        access.security = StreamOpening.Security(
            try TLSContext.client(.file(certificate)), serverName: "engine.example")
        let endpoint = Endpoint.internet(host: "127.0.0.1", port: port, isSecure: true)
        let link = try harness.open(endpoint, access)
        #expect(try link.ask("ECHO", .bytes([UInt8](repeating: 1, count: 200_000))).text?.utf8.count == 200_000)
        access.security?.serverName = "other.example"
        guard case .unreachable(.insecure(.untrusted))? = failure(endpoint, access) else { throw NothingCame() }
        access.security = nil
        guard failure(endpoint, access) != nil else { throw NothingCame() }
        #expect(redis.port == 0)
    }
}
