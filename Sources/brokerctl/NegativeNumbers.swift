/// Data that is a negative number, which the parser would take for options.
enum NegativeNumbers {
    /// `arguments` with such words put behind `--`, where the parser takes words as they are.
    ///
    /// They keep their order among themselves. With a `--` of the caller's own nothing is changed.
    static func protect(_ arguments: [String]) -> [String] {
        guard !arguments.contains("--") else { return arguments }
        let numbers = arguments.filter(isNegative)
        guard !numbers.isEmpty else { return arguments }
        return arguments.filter { !isNegative($0) } + ["--"] + numbers
    }

    /// `-5`, `-0.5`, `-1e3`.
    private static func isNegative(_ word: String) -> Bool {
        let digits = word.utf8.dropFirst()
        guard word.hasPrefix("-"), let first = digits.first else { return false }
        return (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) && Double(word) != nil
    }
}
