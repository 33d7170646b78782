import Foundation
import Testing

@testable import Broker

@Suite("The data directory: replacing a store")
struct DataDirectoryTests {
    private let directory = TestDirectory()

    @Test func makesDirectoriesWithOrWithoutATrailingSlash() throws {
        for end in ["/a/b/c", "/a/b/d/", "/a", "/a/"] {
            try DataDirectory.make(directory.path + end)
            var isDirectory: ObjCBool = false
            #expect(FileManager.default.fileExists(atPath: directory.path + end, isDirectory: &isDirectory))
            #expect(isDirectory.boolValue)
        }
        try Data().write(to: URL(fileURLWithPath: directory.path + "/file"))
        #expect(throws: StorageError.self) { try DataDirectory.make(directory.path + "/file") }
        #expect(throws: StorageError.self) { try DataDirectory.make(directory.path + "/file/below") }
        #expect(throws: StorageError.self) { try DataDirectory.make("") }
    }

    /// A process that is being started has copies of all descriptors until it executes its program.
    @Test func unlocksCopiesOfTheLock() throws {
        let before = Set(try Self.descriptors(of: directory.path + "/lock"))
        var data: DataDirectory? = try DataDirectory(directory.path)
        #expect(data?.path == directory.path)
        let lock = try #require(try Self.descriptors(of: directory.path + "/lock").first { !before.contains($0) })
        let copy = dup(lock)
        defer { close(copy) }
        #expect(throws: StorageError.self) { try DataDirectory(directory.path) }
        data = nil
        #expect(try DataDirectory(directory.path).path == directory.path)
    }

    /// This process's descriptors of a file.
    private static func descriptors(of file: String) throws -> [Int32] {
        let all = "/proc/self/fd"
        return try FileManager.default.contentsOfDirectory(atPath: all).filter {
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "\(all)/\($0)")) == file
        }.compactMap { Int32($0) }
    }

    /// Whenever the power is cut while a store is replaced, there is a store of that name.
    @Test func replacingAFileNeverRemovesItsName() throws {
        let data = try DataDirectory(directory.path)
        let file = directory.path + "/store"
        try Data("old".utf8).write(to: URL(fileURLWithPath: file))
        #expect(!data.hasAside("store"))
        let aside = try data.keepAside("store", as: "replaced", time: 7)
        #expect(aside == file + ".replaced-7")
        #expect(try String(contentsOfFile: file, encoding: .utf8) == "old")
        #expect(try String(contentsOfFile: aside, encoding: .utf8) == "old")
        #expect(data.hasAside("store") && !data.hasAside("stor") && !data.hasAside("other"))
        #expect(try data.keepAside("store", as: "replaced", time: 7) == aside + "-2")
    }

    /// As where a start ended after it had put a damaged store aside, and before it had made another.
    @Test(arguments: ["damaged-1763838000", "replaced-1763838000-2"])
    func neverReusesTheNumbersOfAStoreMovedAside(state: String) throws {
        _ = try DataDirectory(directory.path)
        #expect(try directory.open().reservedSeq == 0)
        try FileManager.default.moveItem(atPath: directory.file.path, toPath: "\(directory.file.path).\(state)")
        #expect(try directory.open().reservedSeq > 1 << 48)
    }
}
