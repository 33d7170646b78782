internal import Glibc
internal import Load

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
