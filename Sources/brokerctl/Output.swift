internal import CLinux
internal import Glibc

/// What the program prints: at once and whole, into a pipe too.
enum Output {
    /// Whether people read what is printed.
    static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 }

    /// Prints a line.
    static func print(_ line: String) { print(Array(line.utf8)) }

    /// Prints a line of bytes as they are.
    static func print(_ line: [UInt8]) { write(line + [0x0A]) }

    /// Prints bytes as they are; ends the program where nobody reads them any more.
    static func write(_ bytes: [UInt8]) {
        guard send(bytes, to: STDOUT_FILENO) else {
            if errno == EPIPE { exit(0) }
            complain("standard output: \(unsafe strerror(errno).map { unsafe String(cString: $0) } ?? "not writable")")
            exit(1)
        }
    }

    /// Prints a line for people, on standard error.
    static func complain(_ message: String) { printError("brokerctl: \(message)") }

    /// Prints a line as it is, on standard error.
    static func printError(_ line: String) { _ = send(Array("\(line)\n".utf8), to: STDERR_FILENO) }

    /// Prints a part of a line as it is, on standard error.
    static func printPart(_ text: String) { _ = send(Array(text.utf8), to: STDERR_FILENO) }

    private static func send(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = unsafe bytes.withUnsafeBytes {
                unsafe Glibc.write(descriptor, $0.baseAddress.map { unsafe $0 + sent }, $0.count - sent)
            }
            if count >= 0 {
                sent += count
            } else if errno == EAGAIN {
                // Someone else made it non-blocking; the wait is the kernel's.
                var waited = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                unsafe _ = poll(&waited, 1, -1)
            } else if errno != EINTR {
                return false
            }
        }
        return true
    }

    /// `text` without what would steer a terminal.
    static func printable(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control where scalar != "\t": result += "\\u{\(String(scalar.value, radix: 16))}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
