import Foundation
import Testing

@testable import Broker

@Suite("Format of a store")
struct StoreFormatTests {
    /// A store whose `meta` has a record too large for a page, as many rules make it, and many values.
    private func makeStore(in directory: TestDirectory) throws {
        let store = try directory.open()
        let rules = try (0..<500).map { HistoryRule(filter: try filter("rule/\($0)/#")) }
        try store.adopt(HistoryRules(rules), from: 1)
        for batch in 0..<10 {
            try store.apply((0..<1000).map { try retained("t/\(batch)/\($0)", "x") }, reserving: nil)
        }
    }

    private func change(_ directory: TestDirectory, _ before: [UInt8], to after: [UInt8]) throws {
        var file = try Data(contentsOf: directory.file)
        try #require(file.range(of: Data(before)) != nil)
        while let range = file.range(of: Data(before)) { file.replaceSubrange(range, with: after) }
        try file.write(to: directory.file)
    }

    @Test func isFoundInALargeStore() throws {
        let directory = TestDirectory()
        try makeStore(in: directory)
        try LMDBStore.checkFormat(directory: directory.path)
        // After a key in a leaf, or at the beginning of a separate page.
        try change(directory, [1, 0, 0, 0, 0, 0, 0, 0] + zeros(16), to: [9, 0, 0, 0, 0, 0, 0, 0] + zeros(16))
        #expect(
            throws: StorageError.newer(
                "\(directory.file.path) is a store with a history of format 9, and this version reads up to 1")
        ) { try LMDBStore.checkFormat(directory: directory.path) }
    }

    private func zeros(_ count: Int) -> [UInt8] { Array(repeating: 0, count: count) }

    /// Existing files are not changed, and no others are created.
    @Test func aNewerStoreIsNotTouched() throws {
        let directory = TestDirectory()
        try makeStore(in: directory)
        for name in ["lock", "\(LMDBStore.fileName)-lock", "\(LMDBStore.fileName)-mark"] {
            try FileManager.default.removeItem(atPath: "\(directory.path)/\(name)")
        }
        let state = Array("state".utf8)
        try change(directory, state + [2, 0, 0, 0], to: state + [4, 0, 0, 0])
        let file = try Data(contentsOf: directory.file)
        let names = try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted()
        let error = StorageError.newer("\(directory.file.path) is a store of format 4, and this version reads up to 3")
        #expect(throws: error) { try LMDBStore.open(directory: directory.path, maximumSize: 64 << 20) }
        let target = TestDirectory()
        #expect(throws: error) { try LMDBStore.restore(from: directory.path, to: target.path, time: 0) }
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted() == names)
        #expect(try Data(contentsOf: directory.file) == file)
        #expect(!FileManager.default.fileExists(atPath: target.path))
    }

    /// Whatever bytes a file contains, checking them never ends the process, and damage is not mistaken for a newer
    /// version.
    @Test(arguments: 0..<200)
    func damageIsNotMistakenForANewerFormat(seed: Int) throws {
        var random = SeededGenerator(seed: seed)
        let directory = TestDirectory()
        var file = try Self.small.get()
        for _ in 0..<Int.random(in: 1...40, using: &random) {
            let page = Int.random(in: 0..<file.count / 4096, using: &random) * 4096
            let offset = Int.random(in: 0..<(Bool.random(using: &random) ? 64 : 4096), using: &random)
            file[page + offset] = UInt8.random(in: 0...255, using: &random)
        }
        try FileManager.default.createDirectory(atPath: directory.path, withIntermediateDirectories: true)
        try file.prefix(Int.random(in: 0...file.count, using: &random)).write(to: directory.file)
        // The record itself is hit by none of the seeds.
        try LMDBStore.checkFormat(directory: directory.path)
    }

    private static let small = Result {
        let directory = TestDirectory()
        try directory.open().apply([retained("a", "x"), retained("b", "y")], reserving: 5)
        return try Data(contentsOf: directory.file)
    }
}
