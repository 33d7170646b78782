internal import Glibc
internal import WSTransport

/// What the kernel knows about a process on this machine.
package enum ProcessTime {
    /// The CPU time that its threads have used so far, in nanoseconds; `nil` if there is no such process.
    ///
    /// Read from each thread's `schedstat`, which is exact; `stat` counts in hundredths of a second.
    package static func used(by process: Int32) -> Int64? {
        let folder = "/proc/\(process)/task"
        guard let directory = unsafe opendir(folder) else { return nil }
        defer { unsafe closedir(directory) }
        var total: Int64 = 0
        while let entry = unsafe readdir(directory) {
            let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard Int32(name) != nil, let text = FileDescriptor.text(of: "\(folder)/\(name)/schedstat") else {
                continue
            }
            total += text.split(separator: " ").first.flatMap { Int64($0) } ?? 0
        }
        return total
    }

    /// Its private memory, in bytes; `nil` if there is no such process.
    package static func residentBytes(of process: Int32) -> Int? {
        guard let text = FileDescriptor.text(of: "/proc/\(process)/statm") else { return nil }
        let fields = text.split(separator: " ").compactMap { Int($0) }
        return fields.count > 2 ? (fields[1] - fields[2]) * Int(sysconf(Int32(_SC_PAGESIZE))) : nil
    }
}
