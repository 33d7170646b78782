import Foundation
import Testing

@testable import WSTransport

@Suite("The memory of the machine")
struct MachineMemoryTests {
    /// The limit of the groups in `cgroup`, the file of that name, with these files.
    private func limit(_ cgroup: String, _ files: [String: String]) throws -> Int? {
        let root = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: root) }
        for (path, text) in files.merging(["proc/self/cgroup": cgroup], uniquingKeysWith: { $1 }) {
            let file = root.appendingPathComponent(path)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: file)
        }
        return Machine.groupLimit(root: root.path)
    }

    @Test func theSmallestLimitOfAllGroupsApplies() throws {
        let files = [
            "sys/fs/cgroup/memory.max": "900\n", "sys/fs/cgroup/a/memory.max": "700\n",
            "sys/fs/cgroup/a/b/memory.max": "800\n", "sys/fs/cgroup/c/memory.max": "1\n",
        ]
        #expect(try limit("0::/a/b\n", files) == 700)
        #expect(try limit("0::/\n", files) == 900)
    }

    @Test func readsLimitsOfCgroupV1() throws {
        let files = ["sys/fs/cgroup/memory/a/memory.limit_in_bytes": "500\n"]
        #expect(try limit("5:cpu,memory:/a\n4:cpu:/b\n", files) == 500)
    }

    @Test func maxIsNoLimit() throws {
        #expect(try limit("0::/a\n", ["sys/fs/cgroup/a/memory.max": "max\n"]) == nil)
        #expect(try limit("", [:]) == nil)
    }

    @Test func reportsTheMemoryOfThisMachine() { #expect(Machine.memory > 1 << 20) }
}
