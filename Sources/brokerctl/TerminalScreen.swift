internal import CLinux
internal import Glibc
internal import Synchronization

/// Full-screen use of a terminal, with single key presses; the end of the program, or a signal, restores the terminal.
///
/// One at a time.
enum TerminalScreen {
    /// The previous state of the terminal, stored in advance because a signal handler needs it.
    nonisolated(unsafe) private static var before = termios()
    private static let isTaken = Atomic<Bool>(false)
    // No line wrap, because wide characters take more columns than are counted.
    private static let entering = Array("\u{1B}[?1049h\u{1B}[?25l\u{1B}[?7l".utf8)
    private static let leaving = Array("\u{1B}[?7h\u{1B}[?25h\u{1B}[?1049l".utf8)

    /// Takes over the terminal; returns `false` if standard input or output is not one.
    static func take() -> Bool {
        guard isatty(STDIN_FILENO) == 1, isatty(STDOUT_FILENO) == 1, unsafe tcgetattr(STDIN_FILENO, &before) == 0 else {
            return false
        }
        // Create it now: no initializer may run in a signal handler.
        _ = leaving.count
        isTaken.store(true, ordering: .releasing)
        _ = signal(SIGINT) { _ in TerminalScreen.end(0) }
        _ = signal(SIGTERM) { _ in TerminalScreen.end(128 + SIGTERM) }
        _ = signal(SIGHUP) { _ in TerminalScreen.end(128 + SIGHUP) }
        _ = signal(SIGTSTP, SIG_IGN)
        var raw = unsafe before
        raw.c_lflag &= ~tcflag_t(ICANON | ECHO)
        unsafe _ = tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw)
        Output.write(entering)
        return true
    }

    /// Restores the terminal.
    static func giveBack() {
        guard isTaken.exchange(false, ordering: .acquiring) else { return }
        unsafe leaving.withUnsafeBytes { unsafe _ = write(STDOUT_FILENO, $0.baseAddress, $0.count) }
        unsafe _ = tcsetattr(STDIN_FILENO, TCSANOW, &before)
    }

    private static func end(_ status: Int32) {
        giveBack()
        _exit(status)
    }

    /// The present number of lines and columns.
    static var size: (lines: Int, columns: Int) {
        var size = winsize()
        guard unsafe ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_row > 0, size.ws_col > 0 else {
            return (24, 80)
        }
        return (Int(size.ws_row), Int(size.ws_col))
    }

    /// Shows only these lines; long ones are cut.
    static func show(_ lines: [String]) {
        let (height, width) = size
        var text = "\u{1B}[H"
        for (number, line) in lines.prefix(height).enumerated() {
            text += (number == 0 ? "" : "\n") + String(line.prefix(width)) + "\u{1B}[K"
        }
        Output.write(Array((text + "\u{1B}[J").utf8))
    }

    /// The next key; `nil` if none was pressed in time, or the terminal is gone.
    static func key(within milliseconds: Int) -> Character? {
        var waited = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
        guard unsafe poll(&waited, 1, Int32(clamping: max(0, milliseconds))) > 0 else { return nil }
        var byte: UInt8 = 0
        guard unsafe read(STDIN_FILENO, &byte, 1) == 1 else {
            // The terminal is gone: without a pause, the loop would spin.
            pause(milliseconds: milliseconds)
            return nil
        }
        return Character(Unicode.Scalar(byte))
    }

    private static func pause(milliseconds: Int) { _ = usleep(UInt32(clamping: max(0, milliseconds) * 1000)) }

    /// Asks for a line in the last line of the screen, with echo; returns an empty text if nothing was entered.
    static func ask(_ question: String) -> String {
        let prompt = "\u{1B}[\(size.lines);1H\u{1B}[K\u{1B}[?25h"
        Output.write(Array((prompt + Output.printable(question)).utf8))
        defer { Output.write(Array("\u{1B}[?25l".utf8)) }
        var text = ""
        while true {
            guard let key = key(within: 60_000) else { return "" }
            switch key {
            case "\n", "\r": return text
            case "\u{1B}": return ""
            case "\u{7F}", "\u{8}":
                guard !text.isEmpty else { continue }
                text.removeLast()
                Output.write(Array("\u{8} \u{8}".utf8))
            case " "..."~" where text.count < 100:
                text.append(key)
                Output.write(Array(String(key).utf8))
            default: continue
            }
        }
    }
}
