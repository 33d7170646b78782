/// Negative numbers as data, which the parser would mistake for options.
enum NegativeNumbers {
    /// `arguments` with such words moved after `--`, where the parser does not look for options.
    ///
    /// Their order is kept. If the caller has used `--`, nothing is changed.
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
