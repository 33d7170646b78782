import Foundation
import Testing

@testable import Broker

@Suite("LMDB store: a copy on its way to another broker")
struct StoreCopyTests {
    /// A store with this many values, and a copy of it.
    private func copy(of directory: TestDirectory, values: Int) throws -> OutgoingCopy {
        let store = try directory.open()
        try store.apply((0..<values).map { try retained("t/\($0)", "value \($0)") }, reserving: 7)
        let copy = try OutgoingCopy(in: directory.path) { (descriptor) throws(StorageError) in
            try store.copy(to: descriptor)
        }
        try copy.fill()
        let names = try FileManager.default.contentsOfDirectory(atPath: directory.path)
        #expect(copy.size > 0 && !names.contains { $0.hasSuffix(".going") }, "its file has no name")
        return copy
    }

    private func arrive(_ copy: OutgoingCopy, in directory: TestDirectory) throws {
        let arriving = try IncomingCopy(in: directory.path)
        var offset = 0
        while offset < copy.size {
            let piece = try copy.piece(at: offset, count: 1000)
            try arriving.append(piece)
            offset += piece.count
        }
        #expect(try copy.piece(at: offset, count: 10) == [])
        try arriving.finish()
    }

    private func names(in directory: TestDirectory, with text: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: directory.path).filter { $0.contains(text) }
    }

    @Test func replacesTheStore() throws {
        let (source, target) = (TestDirectory(), TestDirectory())
        try target.open().apply([retained("own", "x")], reserving: 3)
        try arrive(copy(of: source, values: 500), in: target)
        let store = try target.open()
        #expect(try value(store, "t/499") == "value 499" && store.statistics().values == 500)
        #expect(try names(in: target, with: "mdb.").count == 1, "nothing is left of the copy")
        for former in FormerStore.all(in: target.path) { try former.discard() }
        #expect(try names(in: target, with: "mdb.") == [], "nor of the store before")
    }

    /// The replaced store stays readable, under another name.
    @Test func keepsTheReplacedStore() throws {
        let (source, target) = (TestDirectory(), TestDirectory())
        for number in 0..<3 {
            try target.open().apply([retained("own", "\(number)")], reserving: 3)
            try arrive(copy(of: source, values: 5), in: target)
            #expect(try target.open().statistics().values == 5)
        }
        let former = FormerStore.all(in: target.path)
        #expect(former.count == 3)
        for (number, one) in former.enumerated() {
            let store = try #require(try one.open(maximumSize: 1 << 24))
            #expect(try value(store, "own") == "\(number)")
            store.close()
        }
        for one in former[1...] { try one.discard() }
        let path = try former[0].keepForPeople()
        #expect(FormerStore.all(in: target.path).isEmpty)
        let kept = try names(in: target, with: "undone-")
        #expect(kept.count == 1 && path.hasSuffix(kept[0]))
        let other = TestDirectory()
        try FileManager.default.createDirectory(
            atPath: other.path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        try FileManager.default.copyItem(atPath: "\(target.path)/\(kept[0])", toPath: other.file.path)
        #expect(try value(other.open(), "own") == "0")
    }

    /// An incomplete or invalid copy never replaces a store.
    @Test func rejectsADamagedCopy() throws {
        let (source, target) = (TestDirectory(), TestDirectory())
        try target.open().apply([retained("own", "x")], reserving: 3)
        let copy = try copy(of: source, values: 500)
        for length in [0, 100, copy.size / 2] {
            let arriving = try IncomingCopy(in: target.path)
            try arriving.append(copy.piece(at: 0, count: length))
            #expect(throws: StorageError.self) { try arriving.finish() }
            arriving.discard()
        }
        #expect(try value(target.open(), "own") == "x")
        #expect(try names(in: target, with: "mdb.") == [])
    }
}
