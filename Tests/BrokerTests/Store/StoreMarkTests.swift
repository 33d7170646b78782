import Foundation
import Testing

@testable import Broker

@Suite("Store mark: when the file needs no check")
struct StoreMarkTests {
    private func open(_ directory: TestDirectory) throws -> (store: LMDBStore, movedAside: String?) {
        try LMDBStore.open(directory: directory.path, maximumSize: 16 << 20)
    }

    /// Opens a store, lets `use` use it, and drops it without closing it, as a kill does.
    private func live(_ directory: TestDirectory, _ use: (LMDBStore) throws -> Void = { _ in }) throws -> Bool {
        let store = try open(directory).store
        try use(store)
        return store.checkNanoseconds != nil
    }

    @Test func aCleanShutdownNeedsNoCheck() throws {
        let directory = TestDirectory()
        let first = try live(directory) { store in
            try store.apply([retained("a", "1")], reserving: 5)
            store.close()
        }
        #expect(first)
        let second = try live(directory) { store in
            let found = try value(store, "a")
            #expect(found == "1")
        }
        #expect(!second)
    }

    @Test func aKillBetweenCommitsNeedsNoCheck() throws {
        let directory = TestDirectory()
        #expect(try live(directory))
        let check1 = try live(directory) { try $0.apply([retained("a", "1")], reserving: 5) }
        #expect(!check1)
        let check2 = try live(directory) { try $0.probe() }
        #expect(!check2)
        let last = try live(directory) { store in
            let found = try value(store, "a")
            #expect(found == "1")
        }
        #expect(!last)
    }

    @Test func aFailedCommitNeedsNoCheck() throws {
        let directory = TestDirectory()
        let check3 = try live(directory) { try $0.apply([retained("a", "1")], reserving: 5) }
        #expect(check3)
        let second = try live(directory) { store in
            let large = String(repeating: "x", count: 20 << 20)
            #expect(throws: StorageError.full) { try store.apply([retained("b", large)], reserving: nil) }
        }
        #expect(!second)
        #expect(try !live(directory))
    }

    /// What happens to a file while it is not open.
    enum Accident: CaseIterable {
        case overwritten, truncated, extended, copied, touched, metaChanged
    }

    @Test(arguments: Accident.allCases, [true, false])
    func aChangedFileIsChecked(_ accident: Accident, wasClosed: Bool) throws {
        let directory = TestDirectory()
        _ = try live(directory) { store in
            try store.apply((0..<200).map { try retained("t/\($0)", "x") }, reserving: 5)
            if wasClosed { store.close() }
        }
        let file = directory.file
        let size = try #require(try FileManager.default.attributesOfItem(atPath: file.path)[.size] as? Int)
        let handle = try FileHandle(forUpdating: file)
        defer { try? handle.close() }
        switch accident {
        case .overwritten:
            try handle.seek(toOffset: UInt64(size / 2))
            try handle.write(contentsOf: Data([1, 2, 3]))
        case .truncated: try handle.truncate(atOffset: UInt64(size - 4096))
        case .extended: try handle.truncate(atOffset: UInt64(size + 4096))
        case .copied:
            let copy = directory.path + "/copy"
            try FileManager.default.copyItem(atPath: file.path, toPath: copy)
            try FileManager.default.removeItem(at: file)
            try FileManager.default.moveItem(atPath: copy, toPath: file.path)
        case .touched:
            let date = Date(timeIntervalSince1970: 1)
            try FileManager.default.setAttributes([.modificationDate: date], ofItemAtPath: file.path)
        case .metaChanged:
            try handle.seek(toOffset: 4096 + 144)
            try handle.write(contentsOf: Data([0]))
        }
        #expect(try open(directory).store.checkNanoseconds != nil)
    }

    /// A mark that is damaged, of another boot, or missing does not count.
    @Test func aMarkOfAnotherBootCountsOnlyAfterACleanShutdown() throws {
        for (wasClosed, needsCheck) in [(true, false), (false, true)] {
            let directory = TestDirectory()
            let check4 = try live(directory) { if wasClosed { $0.close() } }
            #expect(check4)
            let path = URL(fileURLWithPath: directory.file.path + "-mark")
            var bytes = [UInt8](try Data(contentsOf: path))
            try #require(bytes.count == 80)
            bytes[10] ^= 0xFF
            // The digest at the end is FNV-1a over what comes before.
            var digest: UInt64 = 0xCBF2_9CE4_8422_2325
            for byte in bytes[..<72] { digest = (digest ^ UInt64(byte)) &* 0x100_0000_01B3 }
            for index in 0..<8 { bytes[72 + index] = UInt8(truncatingIfNeeded: digest >> (8 * index)) }
            try Data(bytes).write(to: path)
            #expect(try live(directory) == needsCheck)
        }
    }

    @Test(arguments: 0..<80)
    func ignoresADamagedMark(offset: Int) throws {
        let directory = TestDirectory()
        let check5 = try live(directory) { $0.close() }
        #expect(check5)
        let path = URL(fileURLWithPath: directory.file.path + "-mark")
        var bytes = [UInt8](try Data(contentsOf: path))
        bytes[offset] ^= 0x10
        try Data(bytes).write(to: path)
        #expect(try live(directory))
    }

    @Test func ignoresAMissingOrShortMark() throws {
        let directory = TestDirectory()
        let check6 = try live(directory) { $0.close() }
        #expect(check6)
        let path = URL(fileURLWithPath: directory.file.path + "-mark")
        try Data([1, 2, 3]).write(to: path)
        let check7 = try live(directory) { $0.close() }
        #expect(check7)
        try FileManager.default.removeItem(at: path)
        let check8 = try live(directory) { $0.close() }
        #expect(check8)
        #expect(try !live(directory))
    }

    @Test func findsDamageAfterACleanShutdown() throws {
        let directory = TestDirectory()
        _ = try live(directory) { store in
            try store.apply((0..<500).map { try retained("t/\($0)", "x") }, reserving: 5)
            store.close()
        }
        let handle = try FileHandle(forUpdating: directory.file)
        try handle.seek(toOffset: 8192)
        try handle.write(contentsOf: Data(repeating: 0x5A, count: 40_960))
        try handle.close()
        let opened = try open(directory)
        #expect(opened.movedAside != nil)
        #expect(opened.store.damage != nil)
    }
}
