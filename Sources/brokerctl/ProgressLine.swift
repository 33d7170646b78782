internal import Glibc
internal import Load

/// How far a load has come: one line on standard error, which is rewritten if that is a terminal.
enum ProgressLine {
    private static var isSeen: Bool { isatty(STDERR_FILENO) == 1 }

    /// Rewrites it.
    static func show(_ progress: LoadProgress) {
        guard isSeen else { return }
        write(words(progress))
    }

    /// Takes it away.
    static func clear() { if isSeen { write("") } }

    /// The line's words.
    static func words(_ progress: LoadProgress) -> String {
        guard progress.open == progress.connections, let arrived = progress.arrived else {
            return "\(progress.open) of \(progress.connections) connections are open"
        }
        return "\(arrived)\(progress.expected.map { " of \($0)" } ?? "") messages have arrived"
    }

    /// To the line's beginning, the words, and nothing behind them.
    private static func write(_ words: String) { Output.printPart("\r\(words)\u{1B}[K") }
}
