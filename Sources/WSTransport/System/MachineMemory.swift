internal import Glibc

extension Machine {
    /// What this process may use of the memory, in bytes: what the machine has, or less where a control group says so.
    package static let memory = {
        let physical = sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))
        return min(physical, groupLimit(root: "") ?? physical)
    }()

    /// What the control groups of this process allow, in bytes; `nil`: no limit.
    ///
    /// A group has what it allows itself, or the least of those it is in.
    ///
    /// - Parameter root: what stands before the paths of the system; empty but for tests.
    static func groupLimit(root: String) -> Int? {
        guard let text = contents(root + "/proc/self/cgroup") else { return nil }
        var least: Int?
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            let isUnified = parts[0] == "0" && parts[1].isEmpty
            guard isUnified || parts[1].split(separator: ",").contains("memory") else { continue }
            let base = root + (isUnified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory")
            let file = isUnified ? "memory.max" : "memory.limit_in_bytes"
            var path = parts[2].split(separator: "/")
            while true {
                let folder = ([base] + path.map(String.init)).joined(separator: "/")
                if let limit = contents("\(folder)/\(file)").flatMap(number) { least = min(least ?? limit, limit) }
                if path.popLast() == nil { break }
            }
        }
        return least
    }

    /// The number in a file of the kernel's; `nil`: a word.
    private static func number(_ text: String) -> Int? { Int(text.prefix { $0.isNumber }) }

    private static func contents(_ path: String) -> String? {
        guard let file = unsafe fopen(path, "r") else { return nil }
        defer { unsafe _ = fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = unsafe fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes.prefix(count), as: UTF8.self)
    }
}
