internal import CLinux
internal import Glibc

/// The service manager that started this process and wants to be told about its state, as systemd does (sd_notify(3)).
///
/// Used by one thread at a time.
package final class Supervisor {
    /// The interval in which the manager expects a sign of life, in nanoseconds; `nil` if it expects none.
    package let watchdog: Int64?

    private let address: sockaddr_un
    private let length: socklen_t
    private let socket: FileDescriptor

    /// The manager that `NOTIFY_SOCKET` names; `nil` if there is none.
    ///
    /// Throws if it cannot be reached: a manager that gets no message ends the process after some time.
    package static func ofProcess() throws(Errno) -> Supervisor? {
        func variable(_ name: String) -> String? { unsafe getenv(name).flatMap { unsafe String(cString: $0) } }
        guard let place = variable("NOTIFY_SOCKET"), !place.isEmpty else { return nil }
        let isOwn = variable("WATCHDOG_PID").map { Int32($0) == getpid() } ?? true
        return try Supervisor(place: place, watchdogMicroseconds: isOwn ? variable("WATCHDOG_USEC") : nil)
    }

    /// - Parameters:
    ///   - place: a path, or the name of an abstract socket after `@`.
    ///   - watchdogMicroseconds: the value of `WATCHDOG_USEC`; unless it is a number above 0, no sign of life is
    ///     expected.
    init(place: String, watchdogMicroseconds: String?) throws(Errno) {
        var bytes = Array(place.utf8)
        var address = sockaddr_un()
        // The last byte terminates the path.
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

    /// Sends a message to the manager; a message that it does not take is not repeated.
    package func tell(_ news: News...) {
        let text = Array(news.map(\.line).joined(separator: "\n").utf8)
        var address = address
        _ = unsafe withUnsafePointer(to: &address) { address in
            unsafe address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe sendto(socket.rawValue, text, text.count, Int32(MSG_NOSIGNAL), $0, length)
            }
        }
    }

    /// The messages for the manager.
    package enum News: Equatable, Sendable {
        /// The process serves, or serves again after a reload.
        case ready
        /// The configuration is being read again; followed by ``ready``.
        case reloading
        /// The process is about to end.
        case stopping
        /// The process is alive; must be sent within ``Supervisor/watchdog``.
        case alive
        /// The state of the process, for people: one line.
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
