internal import CLinux
internal import Glibc

/// An `errno` value.
package struct Errno: Error, Hashable, Sendable, CustomStringConvertible {
    package let rawValue: Int32

    package init(rawValue: Int32) { self.rawValue = rawValue }

    package static var current: Errno { Errno(rawValue: Glibc.errno) }
    package static let wouldBlock = Errno(rawValue: EAGAIN)
    package static let interrupted = Errno(rawValue: EINTR)
    package static let inProgress = Errno(rawValue: EINPROGRESS)
    package static let tooManyOpenFiles = Errno(rawValue: EMFILE)
    package static let tooManyOpenFilesInSystem = Errno(rawValue: ENFILE)
    package static let addressInUse = Errno(rawValue: EADDRINUSE)
    package static let notASocket = Errno(rawValue: ENOTSOCK)
    package static let invalidArgument = Errno(rawValue: EINVAL)

    /// The system's description, such as "Address already in use".
    package var description: String {
        guard let text = unsafe strerror(rawValue) else { return "error \(rawValue)" }
        return unsafe String(cString: text)
    }
}

/// Repeats `body` while it is interrupted; throws `errno` if it returns -1.
func valueOrErrno<I: FixedWidthInteger>(_ body: () -> I) throws(Errno) -> I {
    while true {
        let value = body()
        if value != -1 { return value }
        let error = Errno.current
        if error != .interrupted { throw error }
    }
}
