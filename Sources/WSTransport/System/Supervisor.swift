internal import CLinux
internal import Glibc

/// The service manager that started this process and wants to be told how it is, as systemd does (sd_notify(3)).
///
/// One thread at a time.
package final class Supervisor {
    /// How often the manager wants a sign of life, in nanoseconds; `nil`: it wants none.
    package let watchdog: Int64?

    private let address: sockaddr_un
    private let length: socklen_t
    private let socket: FileDescriptor

    /// The one that `NOTIFY_SOCKET` names; `nil`: there is none.
    ///
    /// Throws when that cannot be reached: a manager that hears nothing ends the process after its time.
    package static func ofProcess() throws(Errno) -> Supervisor? {
        func variable(_ name: String) -> String? { unsafe getenv(name).flatMap { unsafe String(cString: $0) } }
        guard let place = variable("NOTIFY_SOCKET"), !place.isEmpty else { return nil }
        let isOwn = variable("WATCHDOG_PID").map { Int32($0) == getpid() } ?? true
        return try Supervisor(place: place, watchdogMicroseconds: isOwn ? variable("WATCHDOG_USEC") : nil)
    }

    /// - Parameters:
    ///   - place: a path, or the name of an abstract socket after `@`.
    ///   - watchdogMicroseconds: what `WATCHDOG_USEC` says; other than a number above 0: no sign of life is wanted.
    init(place: String, watchdogMicroseconds: String?) throws(Errno) {
        var bytes = Array(place.utf8)
        var address = sockaddr_un()
        // The last byte ends the path.
        guard let first = bytes.first, "/@".utf8.contains(first),
            bytes.count < MemoryLayout.size(ofValue: address.sun_path)
        else { throw .invalidArgument }
        let isAbstract = bytes[0] == UInt8(ascii: "@")
        if isAbstract { bytes[0] = 0 }
        address.sun_family = sa_family_t(AF_UNIX)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
        self.address = address
        length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count + (isAbstract ? 0 : 1))
        socket = FileDescriptor(
            adopting: try valueOrErrno {
                Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
            })
        watchdog = watchdogMicroseconds.flatMap { Int64($0) }.flatMap { 1...Int64.max / 1000 ~= $0 ? $0 * 1000 : nil }
    }

    /// Tells the manager; what it does not take is not repeated.
    package func tell(_ news: News...) {
        let text = Array(news.map(\.line).joined(separator: "\n").utf8)
        var address = address
        _ = unsafe withUnsafePointer(to: &address) { address in
            unsafe address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe sendto(socket.rawValue, text, text.count, Int32(MSG_NOSIGNAL), $0, length)
            }
        }
    }

    /// What can be told.
    package enum News: Equatable, Sendable {
        /// The process serves, or serves again after a reload.
        case ready
        /// The configuration is being read again; followed by ``ready``.
        case reloading
        /// The process is about to end.
        case stopping
        /// It is alive; due within ``Supervisor/watchdog``.
        case alive
        /// How it is, for people: one line.
        case status(String)

        fileprivate var line: String {
            switch self {
            case .ready: "READY=1"
            case .reloading: "RELOADING=1\nMONOTONIC_USEC=\(MonotonicTime.now.nanoseconds / 1000)"
            case .stopping: "STOPPING=1"
            case .alive: "WATCHDOG=1"
            case .status(let text): "STATUS=" + text.replacing("\n", with: " ")
            }
        }
    }
}
