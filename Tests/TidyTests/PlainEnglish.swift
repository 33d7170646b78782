import Foundation

/// Phrases that make a native reader stop, and what to write instead.
///
/// CONTRIBUTING.md has the glossary; here are the phrases that a machine can find.
enum PlainEnglish {
    struct Rule: Sendable {
        /// A regular expression; `.` does not match line ends.
        let pattern: String
        let advice: String
        /// A sentence that breaks the rule, and one near it that does not.
        let bad: String
        let good: String
    }

    static let rules = [
        Rule(
            pattern: #"\bWho (?!are you\?)[a-z]+\b(?![^.\n]*\?)"#,
            advice: "name the subject: the client, the peer, the caller",
            bad: "// Who resumes is shown few values.", good: "// A client that resumes is shown few values."),
        Rule(
            pattern: #"\b[Ww]hoever\b"#, advice: "name the subject: the client, the peer, the caller",
            bad: "/// Closed by whoever opened it.", good: "/// Closed by the caller that opened it."),
        Rule(
            pattern: #"\b(?:is|are|was|be) (?:not )?to be had\b"#, advice: "write \"available\"",
            bad: "io_uring is not to be had here", good: "io_uring is not available here"),
        Rule(
            pattern: #"\b[Aa]new\b"#, advice: "write \"again\"",
            bad: "/// Asked anew for each connection.", good: "/// Asked again for each connection. A new one begins."),
        Rule(
            pattern: #"\b(?:got|gets?|getting) over (?:it|by|without|this|that)\b"#, advice: "write \"recover from\"",
            bad: "A full disk is got over without a restart.", good: "The broker recovers from it."),
        Rule(
            pattern: #"\b[Ww]hence\b"#, advice: "write \"where … came from\"",
            bad: "/// Whence it came.", good: "/// Where it came from."),
        Rule(
            pattern: #"\b(?:comes?|came|goes|went|sent|stands?|lies?|follows?) behind (?:the|it|them|all)\b"#,
            advice: "write \"after\"",
            bad: "The marker comes behind the values.", good: "The marker comes after the values, behind a proxy."),
        Rule(
            pattern: #"\bfunc \w*(?:That(?:Is|Are)None|WhatIsNo[A-Z])|\bdef \w*(?:that_(?:is|are)_none|what_is_no_)"#,
            advice: "name the fault: malformed, invalid, missing",
            bad: "func refusesPointsThatAreNone() {", good: "func rejectsPointsNotOnTheCurve() {"),
    ]

    private static let anyPattern = rules.map { "(?:\($0.pattern))" }.joined(separator: "|")

    /// The lines of `text` that break a rule, each with advice.
    static func findings(in text: String) -> [String] {
        // Most texts break none, which one search shows.
        guard text.range(of: anyPattern, options: .regularExpression) != nil else { return [] }
        return rules.flatMap { rule in
            text.split(separator: "\n").filter { $0.range(of: rule.pattern, options: .regularExpression) != nil }
                .map { "\($0.trimmingCharacters(in: .whitespaces)): \(rule.advice)" }
        }
    }
}
