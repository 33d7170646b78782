/// Negative numbers as data, which the parser would mistake for options.
enum NegativeNumbers {
    /// The option whose values may be negative.
    private static let option = "--since"

    /// `arguments` with such words moved after `--`, where the parser does not look for options, or joined to their option.
    ///
    /// Their order is kept. If the caller has used `--`, nothing is changed.
    static func protect(_ arguments: [String]) -> [String] {
        guard !arguments.contains("--") else { return arguments }
        var joined: [String] = []
        for word in arguments {
            if joined.last == option, isNegative(word) {
                joined.append("\(joined.removeLast())=\(word)")
            } else {
                joined.append(word)
            }
        }
        return move(joined)
    }

    private static func move(_ arguments: [String]) -> [String] {
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
