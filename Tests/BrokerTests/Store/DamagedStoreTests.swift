import Foundation
import Testing

@testable import Broker

@Suite("LMDB store: damaged files")
struct DamagedStoreTests {
    /// A store's file with small and large values, with pages in use, freed and free again.
    private static let files = Result { try (0..<8).map { try makeFile(seed: $0) } }

    private static func makeFile(seed: Int) throws -> Data {
        let directory = TestDirectory()
        var random = SeededGenerator(seed: seed)
        var store: LMDBStore? = try directory.open()
        for _ in 0..<Int.random(in: 3...30, using: &random) {
            var batch: [Message] = []
            for _ in 0..<Int.random(in: 1...60, using: &random) {
                let length = [0, 0, 5, 300, 3000, 20_000].randomElement(using: &random) ?? 0
                let expiry: Int64 = Bool.random(using: &random) ? 900_000 : 0
                batch.append(
                    try retained(
                        "t/\(Int.random(in: 0..<300, using: &random))", String(repeating: "x", count: length),
                        expiry: expiry))
            }
            try store?.apply(batch, reserving: nil)
        }
        store = nil
        return try Data(contentsOf: directory.file)
    }

    /// Opens a store with this file, uses it in every way, and returns whether the file was moved aside.
    private func whyMovedAside(_ file: Data) throws -> String? {
        let directory = TestDirectory()
        try FileManager.default.createDirectory(atPath: directory.path, withIntermediateDirectories: true)
        try file.write(to: directory.file)
        let (store, movedAside) = try LMDBStore.open(directory: directory.path, maximumSize: 16 << 20)
        #expect((store.damage == nil) == (movedAside == nil))
        if let movedAside {
            #expect(movedAside.hasPrefix(directory.file.path + ".damaged-"))
            #expect(try Data(contentsOf: URL(fileURLWithPath: movedAside)) == file)
            #expect(try store.statistics().values == 0)
        }
        // Whatever the file contains, nothing here may end the process.
        _ = try? matches(store, "#", visiting: 10)
        _ = try? matches(store, "t/+/x")
        for index in 0..<300 { _ = try? value(store, "t/\(index)") }
        _ = try? store.apply((0..<300).map { try retained("t/\($0)", "new") }, reserving: 9)
        _ = try? store.apply((0..<300).map { try retained("t/\($0)", "") }, reserving: 10)
        _ = try? store.probe()
        return store.damage
    }

    @Test func acceptsASoundFile() throws {
        for file in try Self.files.get() { #expect(try whyMovedAside(file) == nil) }
    }

    @Test func acceptsAnEmptyFile() throws {
        #expect(try whyMovedAside(Data()) == nil)
    }

    /// A power cut may leave nothing of a file's content: that is not a new store, and numbers never fall.
    @Test func movesAnEmptiedFileAside() throws {
        let directory = TestDirectory()
        var store: LMDBStore? = try directory.open()
        try store?.apply([retained("t", "x", seq: 7)], reserving: nil)
        store?.close()
        store = nil
        try Data().write(to: directory.file)
        let (opened, movedAside) = try LMDBStore.open(directory: directory.path, maximumSize: 16 << 20)
        #expect(movedAside != nil && opened.damage == "the file is empty")
        #expect(try opened.statistics().values == 0)
    }

    @Test func movesATruncatedFileAside() throws {
        let file = try Self.files.get()[0]
        for size in [1, 15, 16, 151, 152, 4095, 4096, 4097, 4247, 8191, 8192, 8193, 12_288, 20_480, file.count / 2] {
            #expect(try whyMovedAside(file.prefix(size)) != nil, "\(size) bytes")
        }
        // A file may be sound without its end, because the last pages may be free, but not without all of it.
        var size = file.count - 1
        var isMoved = false
        while !isMoved, size > 8192 {
            isMoved = try whyMovedAside(file.prefix(size)) != nil
            size -= 4096
        }
        #expect(isMoved)
    }

    /// A small file that says it is one of 64 TiB.
    @Test func rejectsAnImpossiblePageCount() throws {
        var file = try Self.files.get()[0]
        for meta in [0, 4096] {
            for (offset, number) in [(32, UInt64(1) << 46), (136, UInt64(1) << 34 - 2)] {
                let bytes = withUnsafeBytes(of: number.littleEndian) { Data($0) }
                file.replaceSubrange(meta + offset..<meta + offset + 8, with: bytes)
            }
        }
        #expect(try whyMovedAside(file) == "17179869183 pages in \(file.count) bytes")
    }

    /// A pipe that may never have a writer.
    @Test func refusesAPipeWithoutWaiting() throws {
        let directory = TestDirectory()
        try FileManager.default.createDirectory(atPath: directory.path, withIntermediateDirectories: true)
        #expect(mkfifo(directory.file.path, 0o600) == 0)
        #expect(throws: StorageError.self) { try directory.open() }
    }

    @Test(arguments: [1, 100, 4096, 8192, 65_536], 0..<3)
    func movesGarbageAside(size: Int, seed: Int) throws {
        var random = SeededGenerator(seed: seed)
        let noise = Data((0..<size).map { _ in UInt8.random(in: 0...255, using: &random) })
        #expect(try whyMovedAside(noise) != nil)
        #expect(try whyMovedAside(Data(repeating: UInt8(seed), count: size)) != nil)
    }

    @Test func movesAnOverwrittenFileAside() throws {
        let file = try Self.files.get()[0]
        for (offset, count) in [(0, 4096), (4096, 4096), (0, 64), (16, 4), (20, 4), (8192, file.count - 8192)] {
            var damaged = file
            damaged.replaceSubrange(offset..<offset + count, with: Data(repeating: 0x5A, count: count))
            #expect(try whyMovedAside(damaged) != nil, "\(count) bytes at \(offset)")
        }
    }

    /// Bytes changed anywhere: found or not, the store opens and works or fails with an error.
    @Test(arguments: 0..<100)
    func survivesChangedBytes(seed: Int) throws {
        var random = SeededGenerator(seed: seed)
        var file = try Self.files.get()[seed % 8]
        for _ in 0..<Int.random(in: 1...20, using: &random) {
            let isHeader = Bool.random(using: &random)
            let page = Int.random(in: 0..<file.count / 4096, using: &random) * 4096
            let offset = isHeader ? Int.random(in: 0..<64, using: &random) : Int.random(in: 0..<4096, using: &random)
            file[page + offset] = UInt8.random(in: 0...255, using: &random)
        }
        _ = try whyMovedAside(file)
    }

    /// No version has such a number.
    @Test func movesAStoreWithAnImpossibleFormatAside() throws {
        let directory = TestDirectory()
        var store: LMDBStore? = try directory.open()
        let epoch = store?.epoch
        store = nil
        var file = try Data(contentsOf: directory.file)
        let key = Data("state".utf8) + Data([2, 0, 0, 0, 2, 0, 0, 0])
        while let range = file.range(of: key) { file[range.lowerBound + 6] = 1 }
        try file.write(to: directory.file)
        let opened = try LMDBStore.open(directory: directory.path, maximumSize: 1 << 20)
        #expect(opened.movedAside != nil)
        #expect(opened.store.epoch != epoch)
        #expect(opened.store.reservedSeq > 1 << 50, "numbers do not fall when a store is replaced")
    }

    @Test func movesAsideTwiceInASecond() throws {
        let directory = TestDirectory()
        var paths: Set<String> = []
        for _ in 0..<3 {
            try FileManager.default.createDirectory(atPath: directory.path, withIntermediateDirectories: true)
            try Data([1, 2, 3]).write(to: directory.file)
            let opened = try LMDBStore.open(directory: directory.path, maximumSize: 1 << 20)
            paths.insert(try #require(opened.movedAside))
        }
        #expect(paths.count == 3)
        for path in paths { #expect(FileManager.default.fileExists(atPath: path)) }
    }

    @Test func skipsUnreadableRecords() throws {
        let directory = TestDirectory()
        var store: LMDBStore? = try directory.open()
        try store?.apply([retained("good", "one"), retained("marked", "two")], reserving: nil)
        store = nil
        var file = try Data(contentsOf: directory.file)
        let record = Data("marked".utf8) + Data([2, 1, 0, 0])
        while let range = file.range(of: record) { file[range.lowerBound + 6] = 99 }
        try file.write(to: directory.file)
        let opened = try directory.open()
        #expect(try matches(opened, "#") == ["good"])
        #expect(throws: StorageError.damaged("the retained value of marked")) { try value(opened, "marked") }
        #expect(try opened.statistics().damagedRecords == 2)
        try opened.apply([retained("marked", "again")], reserving: nil)
        #expect(try value(opened, "marked") == "again")
        #expect(try matches(opened, "#") == ["good", "marked"])
    }
}
