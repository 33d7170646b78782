import Foundation
import Testing

@testable import Broker

@Suite("LMDB store: durability and recovery")
struct LMDBStoreTests {
    @Test func keepsEverythingAcrossReopening() throws {
        let directory = TestDirectory()
        var store = try directory.open()
        let epoch = store.epoch
        try store.apply((0..<500).map { try retained("a/\($0)", "value \($0)") }, reserving: 7000)
        try store.apply([retained("a/3", ""), retained("b", "x", expiry: 5000)], reserving: nil)
        let statistics = try store.statistics()
        store = try reopened(directory, &store)
        #expect(store.epoch == epoch)
        #expect(store.reservedSeq == 7000)
        #expect(try store.statistics() == statistics)
        #expect(try matches(store, "#").count == 500)
        #expect(try value(store, "a/4") == "value 4")
        #expect(store.nextExpiry == 5000)
        #expect(try store.expired(by: 5000, atMost: 2) == [ExpiredValue(topic: topic("b"), seq: 1)])
    }

    /// Closes the store in `store` before it is opened again.
    private func reopened(_ directory: TestDirectory, _ store: inout LMDBStore) throws -> LMDBStore {
        let elsewhere = TestDirectory()
        store = try elsewhere.open()
        return try directory.open()
    }

    @Test func createsPrivateFiles() throws {
        let directory = TestDirectory()
        let store = try directory.open()
        try store.probe()
        let manager = FileManager.default
        for (path, mode) in [
            (directory.path, 0o700), (directory.file.path, 0o600), (directory.file.path + "-lock", 0o600),
            (directory.path + "/lock", 0o600),
        ] {
            let found = try manager.attributesOfItem(atPath: path)[.posixPermissions] as? Int
            #expect(found == mode, "\(path)")
        }
    }

    @Test func makesParentDirectories() throws {
        let outer = TestDirectory()
        let opened = try LMDBStore.open(directory: outer.path + "/x/y/", maximumSize: 1 << 20)
        try opened.store.probe()
        #expect(FileManager.default.fileExists(atPath: outer.path + "/x/y/broker.mdb"))
    }

    @Test func refusesADirectoryInUse() throws {
        let directory = TestDirectory()
        let store = try directory.open()
        let process = ProcessInfo.processInfo.processIdentifier
        #expect(throws: StorageError.inUse("\(directory.path) (by process \(process))")) {
            try LMDBStore.open(directory: directory.path, maximumSize: 1 << 20)
        }
        try store.probe()
    }

    @Test(arguments: ["/dev/null", "/dev/null/data", "/proc/no-such-directory/data"])
    func namesAnUnusablePath(path: String) throws {
        let what = try systemError(opening: path)
        #expect(what.contains("/dev/null") || what.contains("/proc/no-such-directory"))
    }

    @Test func namesAFileThatCannotBeOpened() throws {
        let directory = TestDirectory()
        try FileManager.default.createDirectory(atPath: directory.file.path, withIntermediateDirectories: true)
        #expect(try systemError(opening: directory.path).contains(directory.file.path))
    }

    private func systemError(opening path: String) throws -> String {
        let error = #expect(throws: StorageError.self) { _ = try LMDBStore.open(directory: path, maximumSize: 1 << 20) }
        guard case .system(let code, let what) = error else { return "no system error" }
        #expect(code > 0)
        return what
    }

    @Test func acceptsLoweredLimits() throws {
        let directory = TestDirectory()
        var store = try directory.open()
        try store.apply((0..<10).map { try retained("a/\($0)", "12345") }, reserving: nil)
        let elsewhere = TestDirectory()
        store = try elsewhere.open()
        store = try directory.open(limits: RetainedLimits(maximumMessages: 5, maximumBytes: 20))
        try store.apply([retained("a/1", "1234")], reserving: nil)
        #expect(throws: StorageError.limit("retained.maximum_messages")) {
            try store.apply([retained("new", "1")], reserving: nil)
        }
        #expect(throws: StorageError.limit("retained.maximum_bytes")) {
            try store.apply([retained("a/1", "12345")], reserving: nil)
        }
        try store.apply((0..<10).map { try retained("a/\($0)", "") }, reserving: nil)
        try store.apply([retained("new", "1")], reserving: nil)
        #expect(try matches(store, "#") == ["new"])
    }

    // MARK: A full store

    private func fill(_ store: LMDBStore, valueLength: Int, perTransaction: Int) throws -> Int {
        let payload = String(repeating: "x", count: valueLength)
        var stored = 0
        while true {
            do {
                try store.apply(
                    (0..<perTransaction).map { try retained("fill/\(stored + $0)", payload) }, reserving: nil)
                stored += perTransaction
            } catch StorageError.full {
                return stored
            }
            try #require(stored < 100_000)
        }
    }

    @Test(arguments: [10, 1000, 5000, 100_000], [1, 5])
    func fillsUpAndRecovers(valueLength: Int, perTransaction: Int) throws {
        let directory = TestDirectory()
        let store = try directory.open(maximumSize: 1 << 20)
        #expect(try store.statistics().maximumBytes == 1 << 20)
        for _ in 0..<3 {
            let stored = try fill(store, valueLength: valueLength, perTransaction: perTransaction)
            try #require(stored >= 1)
            #expect(try store.statistics().values == stored)
            // What must continue when nothing fits:
            try store.reserve(seqsUpTo: store.reservedSeq + 1)
            try store.probe()
            for index in 0..<stored { try store.apply([retained("fill/\(index)", "")], reserving: nil) }
            #expect(try store.statistics().values == 0)
            #expect(try store.statistics().payloadBytes == 0)
        }
        let size = try #require(try FileManager.default.attributesOfItem(atPath: directory.file.path)[.size] as? Int)
        #expect(size <= 1 << 20)
    }

    @Test func aFullStoreCanBeEmptiedAtOnce() throws {
        let directory = TestDirectory()
        let store = try directory.open(maximumSize: 1 << 20)
        let stored = try fill(store, valueLength: 100, perTransaction: 1)
        let settled = Settled()
        let thread = StoreThread(store: store, maximumQueuedBytes: .max, onSettled: settled.add)
        #expect(thread.append(try (0..<stored).map { try retained("fill/\($0)", "") }))
        try thread.start()
        thread.stop()
        #expect(settled.failed.isEmpty)
        #expect(try store.statistics().values == 0)
        #expect(try fill(store, valueLength: 100, perTransaction: 1) > stored / 2)
    }

    @Test func expiredValuesMakeRoom() throws {
        let directory = TestDirectory()
        let store = try directory.open(maximumSize: 1 << 20, limits: RetainedLimits(maximumMessages: 300))
        try store.apply((0..<300).map { try retained("brief/\($0)", "\($0)", time: 1, expiry: 100) }, reserving: nil)
        #expect(throws: StorageError.limit("retained.maximum_messages")) {
            try store.apply([retained("a", "x", time: 99)], reserving: nil)
        }
        try store.apply((0..<300).map { try retained("new/\($0)", "\($0)", time: 100) }, reserving: nil)
        #expect(try matches(store, "#", now: 100).count == 300)
        // Values that were removed are announced nevertheless, once.
        #expect(store.nextExpiry == .min)
        let gone = try store.expired(by: 100, atMost: 1)
        #expect(gone.count == 300 && gone.allSatisfy(\.isGone) && Set(gone.map(\.topic)).count == 300)
        #expect(try store.expired(by: 100, atMost: 1) == [] && store.nextExpiry == .max)

        let again = TestDirectory()
        let small = try again.open(maximumSize: 1 << 20)
        let large = String(repeating: "x", count: 400_000)
        try small.apply(
            (0..<500).map { try retained("brief/\($0)", String(large.prefix(600)), expiry: 2000) }, reserving: nil)
        #expect(throws: StorageError.full) { try small.apply([retained("large", large, time: 1999)], reserving: nil) }
        try small.apply([retained("large", large, time: 2000)], reserving: nil)
        #expect(try matches(small, "#", now: 2000) == ["large"])
    }

    @Test func aLargeMapNeedsNoLargeFile() throws {
        let directory = TestDirectory()
        let store = try directory.open(maximumSize: .max)
        try store.apply([retained("a", "x")], reserving: nil)
        #expect(try value(store, "a") == "x")
        let size = try #require(try FileManager.default.attributesOfItem(atPath: directory.file.path)[.size] as? Int)
        #expect(size < 1 << 20)
    }

    @Test func keepsAFileLargerThanItsLimit() throws {
        let directory = TestDirectory()
        var store = try directory.open()
        try store.apply(
            (0..<200).map { try retained("a/\($0)", String(repeating: "x", count: 10_000)) }, reserving: nil)
        let elsewhere = TestDirectory()
        store = try elsewhere.open()
        store = try directory.open(maximumSize: 1 << 20)
        #expect(try matches(store, "#").count == 200)
        #expect(throws: StorageError.full) { try store.apply([retained("b", "x")], reserving: nil) }
    }
}
