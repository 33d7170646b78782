internal import Glibc

extension Machine {
    /// How much memory this process may use, in bytes: all of the machine's, or less if a control group limits it.
    package static let memory = {
        let physical = sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))
        return min(physical, groupLimit(root: "") ?? physical)
    }()

    /// The limit set by the control groups of this process, in bytes; `nil` if there is none.
    ///
    /// A group is limited by itself and by each group that contains it.
    ///
    /// - Parameter root: a prefix for the system's paths; empty except in tests.
    static func groupLimit(root: String) -> Int? {
        guard let text = FileDescriptor.text(of: root + "/proc/self/cgroup") else { return nil }
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
                if let limit = FileDescriptor.text(of: "\(folder)/\(file)").flatMap(number) {
                    least = min(least ?? limit, limit)
                }
                if path.popLast() == nil { break }
            }
        }
        return least
    }

    /// The number in a kernel file; `nil` if it contains a word.
    private static func number(_ text: String) -> Int? { Int(text.prefix { $0.isNumber }) }
}
