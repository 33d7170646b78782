import Foundation
import Testing

@testable import Broker
@testable import WSTransport

@Suite("Users, tokens and bans that the brokers of a cluster share")
struct SharedAccessTests {
    private let bans = Bans()

    private func message(_ name: String, _ text: String, seq: UInt64) -> Message {
        Message(
            topic: Topic(unchecked: "$cluster/\(name)"), payload: Array(text.utf8), kind: .json, isRetained: true,
            seq: seq, time: 1)
    }

    private func shared() -> SharedAccess { SharedAccess(bans, patience: 1_000_000) }

    @Test("The file does not depend on the order in which its lines arrived, and omits removed ones")
    func theFileDoesNotDependOnTheOrderOfItsLines() throws {
        let lines = [
            message("access/1", #"{"user":"ann","roles":["staff"]}"#, seq: 1),
            message("access/2", #"{"user":"bob","shoe size":43}"#, seq: 2),
            message("access/3", #"{"revoked":{"jti":"x"}}"#, seq: 3),
        ]
        let (one, other) = (shared(), shared())
        one.take(lines)
        other.take(lines.reversed())
        let bytes = try one.file().bytes
        #expect(try other.file().bytes == bytes)
        #expect(String(decoding: bytes, as: UTF8.self).contains("shoe size"), "what this version does not know stays")
        one.take([message("access/2", "", seq: 4)])
        #expect(try one.file().users.map(\.name) == ["ann"])
    }

    @Test(
        "The shared users are in force only after a broker has contributed its file, and then each change is reported")
    func acceptsChangesOnlyWhenInForce() throws {
        let shared = shared()
        shared.take([message("access/1", #"{"user":"ann"}"#, seq: 1)])
        #expect(!shared.isInForce)
        guard case .failure(let refusal) = shared.change({ _ in }) else {
            Issue.record("a change before the data is in force")
            return
        }
        #expect(refusal.code == .unavailable)
        shared.take([message("founded", "{}", seq: 2)])
        #expect(shared.isInForce)
        let version = shared.version
        shared.take([message("bans/1", #"{"kind":"user","name":"ann","added":1}"#, seq: 3)])
        #expect(shared.version == version)
        shared.take([message("access/1", "", seq: 4)])
        #expect(shared.version > version)
    }

    @Test("An unreadable line is an error, not an empty list of users")
    func rejectsAnUnreadableLine() {
        let shared = shared()
        shared.take([message("access/1", #"{"user":"a/b"}"#, seq: 1), message("founded", "{}", seq: 2)])
        #expect(throws: AccessFileErrors.self) { try shared.file() }
    }

    @Test("Bans keep their numbers; ended and unreadable ones are skipped")
    func readsBansAndSkipsEndedOnes() {
        let shared = shared()
        shared.take([
            message("bans/1", #"{"kind":"user","name":"ann","added":5,"note":"noisy"}"#, seq: 7),
            message("bans/2", #"{"kind":"user","name":"bob","added":5,"expires":6}"#, seq: 8),
            message("bans/3", #"{"kind":"address","name":"10.0.0.0/8","expires":9223372036854775807}"#, seq: 9),
            message("bans/4", #"{"kind":"shoe","name":"x"}"#, seq: 10), message("bans/5", "[", seq: 11),
        ])
        #expect(bans.list.all.map(\.id).sorted() == ["b7", "b9"])
        #expect(bans.list.all.first { $0.id == "b7" }?.note == "noisy")
        let version = bans.list.version
        shared.take([message("bans/1", "", seq: 12)])
        #expect(bans.list.all.map(\.id) == ["b9"] && bans.list.version > version)
    }

    @Test("Only topics whose first level is $cluster are private")
    func topicsBelowClusterArePrivate() {
        for name in ["$cluster", "$cluster/access/1", "$cluster/"] {
            #expect(Topic(unchecked: name).isPrivate)
            #expect(TopicFilter(unchecked: name, isLiteral: true).isPrivate)
        }
        for name in ["$clusters", "cluster/a", "$SYS/cluster", "$Cluster", "a/$cluster"] {
            #expect(!Topic(unchecked: name).isPrivate)
        }
    }

    @Test("A reload keeps a change of the users that came after it had read them")
    func aReloadKeepsAChangeDuringIt() throws {
        var settings = Settings()
        let file = FileManager.default.temporaryDirectory.appending(path: "\(UUID()).jsonl")
        defer { try? FileManager.default.removeItem(at: file) }
        settings.access.users = file.path
        let keeper = try AccessKeeper(settings) { _ in }
        let shared = shared()
        shared.take([message("access/1", #"{"user":"ann"}"#, seq: 1), message("founded", "{}", seq: 2)])
        keeper.share(shared) { _ in }
        #expect(keeper.takeOverChange() == .takenOver(file: file.path, users: 1))
        let next = try keeper.next(settings)
        shared.take([message("access/2", #"{"revoked":{"jti":"x"}}"#, seq: 3)])
        _ = keeper.takeOverChange()
        #expect(keeper.current.users.isRevoked(identifier: "x"))
        keeper.adopt(next)
        _ = keeper.takeOverChange()
        #expect(keeper.current.users.isRevoked(identifier: "x"))
    }

    @Test("An edit applies only its own changes to content that has changed meanwhile")
    func mergesAnEditIntoNewerContent() throws {
        func file(_ lines: String...) throws -> AccessFile {
            try AccessFile(Array(lines.joined(separator: "\n").utf8), file: "f")
        }
        let edit = AccessKeeper.Edit(
            old: try file(#"{"user":"ann"}"#, #"{"user":"bob"}"#),
            new: try file(#"{"user":"ann","roles":["r"]}"#, #"{"user":"new"}"#),
            bytes: [])
        var now = try file(#"{"user":"ann"}"#, #"{"user":"bob"}"#, #"{"user":"later"}"#)
        edit.apply(to: &now)
        #expect(now.users.map(\.name).sorted() == ["ann", "later", "new"])
        #expect(now.users.first { $0.name == "ann" }?.roles == ["r"])
    }
}
