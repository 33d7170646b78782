internal import Synchronization

/// A route's pattern, ready to be matched with paths.
///
/// Three kinds: a literal path, optionally with a `*` at its end; a path with parameters; a regular expression.
struct RoutePattern: Sendable {
    /// The result of a match.
    struct Match: Equatable {
        /// The text that the routes below match.
        var value = ""
        /// The values of the groups, in order; `nil` if the value is the only one.
        var groups: [String]? = []

        var params: [String] { groups ?? [value] }
    }

    private enum Kind {
        /// Compared byte by byte.
        case exact(String)
        /// Everything below a path; the rest is the value.
        case below(String)
        /// Compared without regard to case and to a `/` at the end.
        case literal(String)
        case expression(Expression, isPrefix: Bool)
    }

    private let kind: Kind

    /// A regular expression, which one thread uses at a time.
    private final class Expression: Sendable {
        private let regex: Mutex<Regex<AnyRegexOutput>>

        init?(_ source: String) {
            guard let made = try? Regex<AnyRegexOutput>(source) else { return nil }
            regex = Mutex(made)
        }

        /// The ranges of the first match and of its groups; `nil` for a group that took no part.
        func groups(in text: String) -> [Range<String.Index>?]? {
            regex.withLock { regex in
                guard let match = try? regex.ignoresCase().firstMatch(in: text) else { return nil }
                return match.output.map(\.range)
            }
        }
    }

    /// A pattern for exactly this path; with `*` as its last part, for everything below.
    init(exactly path: String) {
        kind = path.utf8.last == UInt8(ascii: "*") ? .below(String(path.dropLast())) : .exact(path)
    }

    /// A pattern in the syntax of `Routing`; `nil` if it is malformed.
    ///
    /// - Parameter isPrefix: whether more may follow, which then becomes the value.
    init?(_ pattern: String, isPrefix: Bool) {
        let isPath = !pattern.hasPrefix("^")
        guard !isPath || isPrefix || pattern.contains(where: ":()*".contains) else {
            kind = .literal(Self.normalized(pattern))
            return
        }
        let source = isPath ? PathExpression.source(of: pattern, isPrefix: isPrefix) : pattern
        guard let expression = source.flatMap(Expression.init) else { return nil }
        kind = .expression(expression, isPrefix: isPath && isPrefix)
    }

    private static func normalized(_ path: String) -> String {
        path.hasSuffix("/") ? String(path.dropLast()).lowercased() : path.lowercased()
    }

    /// The result for `path`; `nil` if it does not match.
    func match(_ path: String) -> Match? {
        switch kind {
        case .exact(let pattern): return pattern == path ? Match() : nil
        case .below(let prefix):
            guard let rest = Self.rest(of: path, after: prefix) else { return nil }
            return Match(value: rest, groups: nil)
        case .literal(let pattern): return pattern == Self.normalized(path) ? Match() : nil
        case .expression(let expression, let isPrefix):
            guard let groups = expression.groups(in: path) else { return nil }
            guard isPrefix, let rest = groups.last else { return Self.match(groups, in: path) }
            // The last group is what follows the prefix, whatever groups the prefix itself contains.
            var match = Self.match(groups.dropLast(), in: path)
            match.value = rest.map { String(path[$0]) } ?? ""
            return match
        }
    }

    private static func rest(of path: String, after prefix: String) -> String? {
        let (bytes, head) = (path.utf8Span.span, prefix.utf8Span.span)
        guard bytes.count >= head.count else { return nil }
        for index in head.indices where bytes[index] != head[index] { return nil }
        // The rest after a whole text is valid UTF-8, too.
        return unsafe String(copying: UTF8Span(unchecked: bytes.extracting(head.count...)))
    }

    /// A single outermost group is the value, and the groups directly in it are the parameters, or it is if it contains
    /// none; if there are several outermost groups, each is a parameter.
    private static func match(_ groups: some Collection<Range<String.Index>?>, in path: String) -> Match {
        let found = groups.dropFirst().map { $0 ?? path.endIndex..<path.endIndex }
        var levels: [Int] = []
        for (index, group) in found.enumerated() {
            let parent = (0..<index).last { found[$0].contains(group) && group.lowerBound < found[$0].upperBound }
            levels.append(parent.map { levels[$0] + 1 } ?? 0)
        }
        func texts(at level: Int) -> [String] {
            zip(found, levels).filter { $0.1 == level }.map { String(path[$0.0]) }
        }
        let outermost = texts(at: 0)
        guard outermost.count == 1 else { return Match(groups: outermost) }
        let inner = texts(at: 1)
        return Match(value: outermost[0], groups: inner.isEmpty ? outermost : inner)
    }
}
