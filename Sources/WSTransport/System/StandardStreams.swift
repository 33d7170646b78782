internal import Glibc

/// The process's standard output and error, written at once and completely.
package enum StandardStreams {
    /// Opens `/dev/null` in place of standard streams that the process was started without.
    ///
    /// Otherwise the next opened file would get such a number, and output for people would be written to it. Must be
    /// called before anything else is opened.
    package static func fillGaps() {
        for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 {
            // The lowest free number is used, which is this one.
            _ = unsafe open("/dev/null", O_RDWR)
        }
    }

    package static func writeOutput(_ text: String) { write(text, to: STDOUT_FILENO) }

    package static func writeError(_ text: String) { write(text, to: STDERR_FILENO) }

    private static func write(_ text: String, to descriptor: Int32) {
        var text = text
        text.withUTF8 { bytes in
            var sent = 0
            while sent < bytes.count {
                let count = unsafe Glibc.write(
                    descriptor, bytes.baseAddress.map { unsafe $0 + sent }, bytes.count - sent)
                if count < 0, Errno.current == .interrupted { continue }
                // The output has no reader any more, and there is no other place to report that.
                guard count > 0 else { return }
                sent += count
            }
        }
    }
}

/// A moment in UTC, in the form of ISO 8601: `2026-01-31T12:00:00.123Z`.
package struct Timestamp: CustomStringConvertible, Sendable {
    package let description: String

    package init(unixMilliseconds: Int64) {
        let seconds = unixMilliseconds / 1000
        var time = time_t(seconds)
        var parts = unsafe tm()
        unsafe _ = gmtime_r(&time, &parts)
        func padded(_ number: Int, _ width: Int) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
        }
        description =
            unsafe "\(padded(Int(parts.tm_year) + 1900, 4))-\(padded(Int(parts.tm_mon) + 1, 2))-\(padded(Int(parts.tm_mday), 2))"
            + "T\(padded(Int(parts.tm_hour), 2)):\(padded(Int(parts.tm_min), 2)):\(padded(Int(parts.tm_sec), 2))"
            + ".\(padded(Int(unixMilliseconds % 1000), 3))Z"
    }
}
