import Foundation
import Synchronization
import Testing

@testable import Broker
@testable import WSTransport

@Suite("The audit log")
struct AuditLogTests {
    /// A separate directory, which is removed with the test.
    private final class Folder {
        let path = NSTemporaryDirectory() + "audit-\(UUID().uuidString)"
        init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
        deinit { try? FileManager.default.removeItem(atPath: path) }
        var file: String { path + "/audit.log" }
        var lines: [String] {
            let text = (try? String(contentsOfFile: file, encoding: .utf8)) ?? ""
            return text.split(separator: "\n").map(String.init)
        }
    }

    private func line(_ event: AuditEvent) -> String {
        var bytes: [UInt8] = []
        event.write(to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test func writesTheMembersInAFixedOrder() {
        var denied = AuditEvent(.publishDenied, target: "sensors/bob/x")
        denied.time = 1_700_000_000_123
        (denied.user, denied.kind, denied.client, denied.address) = ("alice", "jwt", "eb1", "10.1.2.3:5512")
        denied.count = 14
        #expect(
            line(denied) == """
                {"time":"2023-11-14T22:13:20.123Z","event":"publish.denied","user":"alice","kind":"jwt","client":"eb1",\
                "address":"10.1.2.3:5512","target":"sensors/bob/x","rule":null,"count":14}\n
                """)
        var kick = AuditEvent(.admin("kick"), target: "user bob", result: "3 clients")
        kick.time = 0
        kick.actor = .socket(uid: 1000, pid: 4711)
        #expect(
            line(kick) == """
                {"time":"1970-01-01T00:00:00.000Z","event":"admin.kick","actor":{"uid":1000,"pid":4711,"via":"socket"},\
                "target":"user bob","result":"3 clients"}\n
                """)
    }

    @Test func truncatesLongTextBetweenCharacters() {
        let event = AuditEvent(.hostRefused, target: String(repeating: "é", count: 5000))
        #expect(event.target == String(repeating: "é", count: 512) + "…")
        #expect(AuditEvent(.hostRefused, target: "a\"\n\u{7F}").target == "a\"\n\u{7F}")
        #expect(line(AuditEvent(.hostRefused, target: "a\"\n")).split(separator: "\n").count == 1)
    }

    @Test func createsAPrivateFileAndAppends() throws {
        let folder = try Folder()
        for name in ["first", "second"] {
            let log = AuditLog()
            log.write(AuditEvent(.start, target: "not on yet"))
            log.adopt(try AuditLog.Opened(.file(folder.file)))
            log.write(AuditEvent(.start, target: name))
            log.flush()
        }
        #expect(folder.lines.count == 2)
        #expect(folder.lines.first?.contains("first") == true && folder.lines.last?.contains("second") == true)
        let mode = try FileManager.default.attributesOfItem(atPath: folder.file)[.posixPermissions] as? Int
        #expect(mode == 0o600)
    }

    @Test func reopensARenamedFile() throws {
        let folder = try Folder()
        let log = AuditLog()
        log.adopt(try AuditLog.Opened(.file(folder.file)))
        log.write(AuditEvent(.start))
        log.flush()
        try FileManager.default.moveItem(atPath: folder.file, toPath: folder.file + ".1")
        log.adopt(try AuditLog.Opened(.file(folder.file)))
        log.write(AuditEvent(.stop))
        log.flush()
        #expect(folder.lines.count == 1)
        #expect(folder.lines.first?.contains("\"stop\"") == true)
    }

    @Test func reportsHowManyLinesWereDropped() throws {
        let folder = try Folder()
        #expect(mkfifo(folder.file, 0o600) == 0)
        let reader = open(folder.file, O_RDONLY | O_NONBLOCK)
        defer { close(reader) }
        let log = AuditLog()
        log.adopt(try AuditLog.Opened(.file(folder.file)))
        // The first batch does not fit into the unread pipe, so the thread waits within it.
        for number in 0..<2000 { log.write(AuditEvent(.start, target: "first \(number)")) }
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        var text: [UInt8] = []
        /// Waits for the next value.
        func take() {
            var place = pollfd(fd: reader, events: Int16(POLLIN), revents: 0)
            #expect(poll(&place, 1, 60_000) == 1)
            let count = read(reader, &buffer, buffer.count)
            if count > 0 { text += buffer[..<count] }
        }
        take()
        var number = 0
        while log.dropped < 100, number < 100_000 {
            log.write(AuditEvent(.start, target: "next \(number)"))
            number += 1
        }
        let dropped = log.dropped
        #expect(dropped == 100)
        while !text.contains(sequence: "audit.missing") { take() }
        while text.last != 10 { take() }
        let lines = String(decoding: text, as: UTF8.self).split(separator: "\n")
        #expect(lines.count == 2000 + number - dropped + 1)
        #expect(lines.last?.hasSuffix("\"event\":\"audit.missing\",\"count\":100}") == true)
    }

    @Test func countsAndReportsFailedWrites() throws {
        let reports = Mutex<[String]>([])
        let log = AuditLog { reason in reports.withLock { $0.append(reason) } }
        log.adopt(try AuditLog.Opened(.file("/dev/full")))
        log.write(AuditEvent(.start))
        log.flush()
        #expect(log.dropped == 1)
        #expect(reports.withLock { $0.first } == "No space left on device")
        #expect(throws: Errno(rawValue: ENOENT)) { try AuditLog.Opened(.file("/nowhere/audit.log")) }
    }

    /// Each request to follow a filter is by a client of its own.
    @Test func groupsTheRequestsOfOneConnection() throws {
        let folder = try Folder()
        let log = AuditLog()
        log.adopt(try AuditLog.Opened(.file(folder.file)))
        let ports: [UInt16] = [1, 1, 1, 2, 1]
        let peers = try ports.map { try #require(SocketAddress(host: "192.0.2.7", port: $0)) }
        try ExchangeHarness().run { shard in
            let tally = AuditTally(log) { _ in }
            for (number, peer) in peers.enumerated() {
                let user = number == 4 ? Principal(.token, user: "alice") : .anonymous
                let client = shard.makeClient(user, peer: peer, protocolName: "events")
                tally.denied(.subscribe, "a", to: client, by: nil)
            }
            tally.flush()
        }
        log.flush()
        #expect(folder.lines.count == 3)
        #expect(folder.lines.first?.contains(#""address":"192.0.2.7:1""#) == true)
        #expect(folder.lines.first?.hasSuffix(#""count":3}"#) == true)
        #expect(folder.lines.last?.contains(#""user":"alice""#) == true)
    }

    @Test func writesOneLineASecondWithACount() throws {
        let folder = try Folder()
        let log = AuditLog()
        var due: [() -> Void] = []
        let tally = AuditTally(log) { due.append($0) }
        func denied(_ client: UInt64, _ target: String) {
            tally.count(AuditTally.Matter(.publishDenied, of: client), AuditEvent(.publishDenied, target: target))
        }
        denied(1, "before it is on")
        #expect(due.isEmpty)
        log.adopt(try AuditLog.Opened(.file(folder.file)))
        for number in 0..<14 { denied(1, "a/\(number)") }
        denied(2, "b")
        #expect(due.count == 1)
        due.removeFirst()()
        denied(1, "c")
        #expect(due.count == 1)
        due.removeFirst()()
        log.flush()
        #expect(folder.lines.count == 3)
        #expect(folder.lines.first?.hasSuffix("\"target\":\"a/0\",\"rule\":null,\"count\":14}") == true)
        #expect(folder.lines.dropFirst().first?.hasSuffix("\"target\":\"b\",\"rule\":null}") == true)
        for client in 10..<2000 { denied(UInt64(client), "many") }
        log.flush()
        #expect(folder.lines.count == 1003, "what waits for its second is bounded")
    }
}

extension [UInt8] {
    fileprivate func contains(sequence text: String) -> Bool {
        String(decoding: self, as: UTF8.self).contains(text)
    }
}
