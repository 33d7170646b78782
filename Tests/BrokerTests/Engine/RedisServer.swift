import Foundation
import Glibc
import Synchronization
import Testing

@testable import Broker
@testable import WSTransport

/// A test's own Redis server, in memory, which ends with this object.
final class RedisServer {
    let directory = TestDirectory()
    /// Of the socket in its directory.
    let endpoint: Endpoint
    /// The loopback port that it also listens on; 0 for none.
    let port: UInt16
    private let process = Process()
    private let pid: pid_t

    /// Starts it, and waits until it reports that it is ready.
    ///
    /// - Parameters:
    ///   - options: further words of its command line.
    ///   - port: to listen to on the loopback, too.
    init(_ options: [String] = [], port: UInt16 = 0, sentinel: String? = nil) throws {
        try FileManager.default.createDirectory(atPath: directory.path, withIntermediateDirectories: true)
        let socket = directory.path + "/redis.sock"
        endpoint = .unix(path: socket)
        self.port = port
        var words = ["redis-server"]
        if let sentinel {
            let file = directory.path + "/sentinel.conf"
            try sentinel.write(toFile: file, atomically: true, encoding: .utf8)
            words += [file, "--sentinel"]
        } else {
            words += ["--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"]
        }
        words +=
            ["--port", "\(port)", "--bind", "127.0.0.1", "--unixsocket", socket, "--dir", directory.path] + options
        // So that no server is left for long if this process is aborted.
        process.executableURL = URL(filePath: "/usr/bin/timeout")
        process.arguments = ["300"] + words
        let output = Pipe()
        (process.standardInput, process.standardOutput, process.standardError) = (FileHandle.nullDevice, output, output)
        try process.run()
        var text = ""
        let ready = sentinel == nil ? "eady to accept connections" : "Sentinel ID is"
        while !text.contains(ready) {
            let piece = output.fileHandleForReading.availableData
            try #require(!piece.isEmpty, "redis-server does not start: \(text)")
            text += String(decoding: piece, as: UTF8.self)
        }
        // A thread of its own, not a readability handler: Foundation closes the descriptor of a handler before libdispatch
        // stops watching it, and the next descriptor of that number then crashes the process.
        let reading = output.fileHandleForReading
        Thread { while !reading.availableData.isEmpty {} }.start()
        pid = try #require(text.firstMatch(of: /\b(\d+):[MSX][ ]/).flatMap { pid_t($0.output.1) })
    }

    deinit { signal(SIGKILL) }

    func signal(_ number: Int32) { kill(pid, number) }

    /// Kills it, and waits until nothing is left of it.
    func end() {
        signal(SIGKILL)
        process.waitUntilExit()
    }

    /// A loopback port without a listener.
    static func freePort() throws -> UInt16 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        return try withUnsafeMutablePointer(to: &address) { pointer in
            try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                try #require(bind(descriptor, pointer, length) == 0)
                try #require(getsockname(descriptor, pointer, &length) == 0)
            }
            return UInt16(bigEndian: pointer.pointee.sin_port)
        }
    }
}

/// A server that answers as a test says, on a socket in a directory.
final class Impostor: Sendable {
    let directory = TestDirectory()
    let endpoint: Endpoint
    private let listener: Int32

    /// - Parameter answer: the bytes that answer a command's words; `nil`: nothing.
    init(_ answer: @escaping @Sendable ([String]) -> String?) throws {
        try FileManager.default.createDirectory(atPath: directory.path, withIntermediateDirectories: true)
        let path = directory.path + "/impostor.sock"
        endpoint = .unix(path: path)
        let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        self.listener = listener
        let address = try #require(SocketAddress(path: path))
        let code = try address.withSockaddr { bind(listener, $0, $1) }
        try #require(code == 0 && listen(listener, 8) == 0)
        let thread = Thread {
            while true {
                let peer = accept(listener, nil, nil)
                guard peer >= 0 else { return }
                Thread { Self.serve(peer, answer) }.start()
            }
        }
        thread.start()
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }

    private static func serve(_ peer: Int32, _ answer: ([String]) -> String?) {
        defer { close(peer) }
        var reader = RESPReader()
        var space = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(peer, &space, space.count)
            guard count > 0 else { return }
            let bytes = Array(space[..<count])
            var offset = 0
            while let command = try? reader.next(bytes.span, &offset) {
                let words = (command.elements ?? []).compactMap(\.text)
                guard let text = answer(words) else { continue }
                guard send(peer, text, text.utf8.count, Int32(MSG_NOSIGNAL)) >= 0 else { return }
            }
        }
    }
}

/// A thread with a reactor, where links to engines are.
final class EngineHarness {
    let remote: Remote
    private let thread: ThreadHandle

    init() throws {
        let remote = try Remote()
        self.remote = remote
        let reactor = try Reactor(index: 0, counters: ReactorCounters(), remote: remote, backend: .epoll)
        nonisolated(unsafe) let owned = reactor
        thread = try startThread(named: "engine") { owned.run() }
    }

    deinit {
        remote.run { $0.stop() }
        thread.join()
    }

    /// Runs `body` on the thread, which hands over a value then or later.
    func run<Value: Sendable>(_ body: @escaping @Sendable (Reactor, Answer<Value>) -> Void) throws -> Value {
        let answer = Answer<Value>()
        remote.run { body($0, answer) }
        return try answer.get()
    }

    /// A link to a server, which lives as long.
    func open(
        _ server: RedisServer, _ access: EngineLink.Access = .init(), _ limits: EngineLink.Limits = .patient
    ) throws -> Link {
        let link = try open(server.endpoint, access, limits)
        link.server = server
        return link
    }

    func open(
        _ endpoint: Endpoint, _ access: EngineLink.Access = .init(), _ limits: EngineLink.Limits = .patient
    ) throws -> Link {
        try Link(
            run { reactor, answer in
                EngineLink.open(endpoint, access, limits, on: reactor) { result in
                    nonisolated(unsafe) let result = result
                    answer.put(result.map { Held($0) })
                }
            }.get(), self)
    }
}

/// A link that tests hold on their own threads, to be used on its reactor's.
struct Held: @unchecked Sendable {
    let link: EngineLink

    init(_ link: EngineLink) { self.link = link }
}

extension EngineLink.Limits {
    /// For tests on a busy machine.
    static let patient: EngineLink.Limits = {
        var limits = EngineLink.Limits()
        limits.timeout = 50_000_000_000
        return limits
    }()
}

/// A link, asked from a test's thread.
final class Link {
    let held: Held
    private let harness: EngineHarness
    fileprivate var server: RedisServer?
    /// Receives the reason of its end.
    let end = Answer<EngineFailure>()

    fileprivate init(_ held: Held, _ harness: EngineHarness) throws {
        (self.held, self.harness) = (held, harness)
        let end = end
        _ = try harness.run { _, answer in
            held.link.onEnd = { end.put($0) }
            answer.put(true)
        }
    }

    deinit { harness.remote.run { [held] _ in held.link.close() } }

    var facts: EngineLink.Server? {
        get throws { try harness.run { [held] _, answer in answer.put(held.link.server) } }
    }

    /// The answers to commands that are sent together.
    func all(_ commands: [RESPCommand], patience: Int64? = nil) throws -> [EngineLink.Answer] {
        try harness.run { [held] _, answer in
            nonisolated(unsafe) var answers: [EngineLink.Answer] = []
            for command in commands {
                held.link.ask(command, patience: patience) {
                    answers.append($0)
                    if answers.count == commands.count { answer.put(answers) }
                }
            }
        }
    }

    func transaction(_ commands: [RESPCommand]) throws -> Result<[RESPValue], EngineFailure> {
        try harness.run { [held] _, answer in held.link.ask(transaction: commands) { answer.put($0) } }
    }

    func ask(_ words: RESPCommand.Word...) throws -> RESPValue { try all([RESPCommand(words)])[0].get() }

    /// The refusal of a command.
    func refusal(_ words: RESPCommand.Word...) throws -> Substring? {
        guard case .failure(.refused(let error)) = try all([RESPCommand(words)])[0] else { return nil }
        return error.code
    }
}
