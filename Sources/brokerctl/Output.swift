internal import Broker
internal import CLinux
internal import Glibc
internal import Load
internal import WSTransport

/// Output of the program: unbuffered and complete, also into a pipe.
enum Output {
    /// Whether the output is a terminal.
    static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 }

    /// Prints a line.
    static func print(_ line: String) { print(Array(line.utf8)) }

    /// Prints a line of bytes unchanged.
    static func print(_ line: [UInt8]) { write(line + [0x0A]) }

    /// Prints bytes unchanged; ends the program if the reader has gone.
    static func write(_ bytes: [UInt8]) {
        guard send(bytes, to: STDOUT_FILENO) else {
            if errno == EPIPE { exit(0) }
            complain("standard output: \(unsafe strerror(errno).map { unsafe String(cString: $0) } ?? "not writable")")
            exit(1)
        }
    }

    /// From now on the program ends when the reader of its output has gone, even while it has nothing to print.
    static func endWithReader() {
        _ = try? startThread(named: "reader") {
            var watched = pollfd(fd: STDOUT_FILENO, events: 0, revents: 0)
            while true {
                let count = unsafe poll(&watched, 1, -1)
                if count > 0 { _exit(0) }
                guard count < 0, errno == EINTR else { return }
            }
        }
    }

    /// Prints a line for people, on standard error; it may contain text from the broker.
    static func complain(_ message: String) { printError("brokerctl: \(printable(message, keepsLines: true))") }

    /// Prints a line unchanged, on standard error.
    static func printError(_ line: String) { _ = send(Array("\(line)\n".utf8), to: STDERR_FILENO) }

    /// Prints part of a line unchanged, on standard error.
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
                // Another process made it non-blocking; let the kernel wait.
                var waited = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                unsafe _ = poll(&waited, 1, -1)
            } else if errno != EINTR {
                return false
            }
        }
        return true
    }

    /// Prints a line of JSON; on a terminal, control characters are replaced by JSON escapes, which mean the same.
    static func printJSON(_ json: [UInt8]) {
        guard isTerminal else { return print(json) }
        print(
            escape(String(decoding: json, as: UTF8.self)) { scalar in
                let digits = String(scalar.value, radix: 16)
                return "\\u" + String(repeating: "0", count: max(0, 4 - digits.utf8.count)) + digits
            })
    }

    /// Prints a JSON object.
    static func printJSON(_ writeMembers: (inout JSONWriter) -> Void) {
        var writer = JSONWriter()
        writer.beginObject()
        writeMembers(&writer)
        writer.endObject()
        printJSON(writer.bytes)
    }

    /// `text` without characters that would control a terminal or change the direction of text.
    ///
    /// - Parameter keepsLines: keep line ends.
    static func printable(_ text: String, keepsLines: Bool = false) -> String {
        escape(text) { scalar in
            if scalar == "\t" || keepsLines && scalar == "\n" { return String(scalar) }
            return "\\u{\(String(scalar.value, radix: 16))}"
        }
    }

    private static func escape(_ text: String, _ replacement: (Unicode.Scalar) -> String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            if scalar.isTreacherous {
                result += replacement(scalar)
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}

/// The progress of a load: one line on standard error, which is rewritten if that is a terminal.
enum ProgressLine {
    private static var isSeen: Bool { isatty(STDERR_FILENO) == 1 }

    /// Rewrites it.
    static func show(_ progress: LoadProgress) {
        guard isSeen else { return }
        write(words(progress))
    }

    /// Removes it.
    static func clear() { if isSeen { write("") } }

    /// The text of the line.
    static func words(_ progress: LoadProgress) -> String {
        guard progress.open == progress.connections, let arrived = progress.arrived else {
            return "\(progress.open) of \(progress.connections) connections are open"
        }
        return "\(arrived)\(progress.expected.map { " of \($0)" } ?? "") messages have arrived"
    }

    /// Return to the beginning of the line, print the text, and clear the rest.
    private static func write(_ words: String) { Output.printPart("\r\(words)\u{1B}[K") }
}
