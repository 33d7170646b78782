/// Path patterns, such as `/users/:id(\d+)/files/*`, as regular expressions.
///
/// `:name` matches one level, `:name(re)` what the expression matches, `(re)` the same without a name, `*`
/// anything. A name or a group may be followed by `?` (optional, with the `/` before it), `+` (one level or
/// more) or `*` (none or more). Letters match in either case, and a `/` at the end is optional.
enum PathExpression {
    /// The regular expression; `nil` if a parenthesis is not closed or a name is missing.
    static func source(of pattern: String, isPrefix: Bool) -> String? {
        var reader = Reader(rest: pattern[...])
        var source = "^"
        while let part = reader.next() {
            switch part {
            case .text(let character):
                source += isSpecial(character) ? "\\\(character)" : String(character)
            case .anything: source += "(.*)"
            case .group(let slash, let expression, let count):
                source += group(slash ? "/" : "", expression, count)
            case .malformed: return nil
            }
        }
        // A `/` at the end is tolerated.
        while source.hasSuffix("/") { source.removeLast() }
        return source + (isPrefix ? "(/.*)?$" : "/?$")
    }

    private enum Count: Character {
        case optional = "?"
        case more = "+"
        case any = "*"
    }

    private enum Part {
        case text(Character)
        case anything
        /// Including the `/` before it.
        case group(slash: Bool, String, Count?)
        case malformed
    }

    private static func group(_ slash: String, _ expression: String, _ count: Count?) -> String {
        switch count {
        case nil: "\(slash)(\(expression))"
        case .optional: "(?:\(slash)(\(expression)))?"
        case .more: "\(slash)((?:\(expression))(?:/(?:\(expression)))*)"
        case .any: "(?:\(slash)((?:\(expression))(?:/(?:\(expression)))*))?"
        }
    }

    private static func isSpecial(_ character: Character) -> Bool { ".\\[]{}^$|+?".contains(character) }

    private struct Reader {
        var rest: Substring

        mutating func next() -> Part? {
            guard let first = rest.first else { return nil }
            let slash = first == "/" && [":", "("].contains(rest.dropFirst().first)
            if slash { rest.removeFirst() }
            switch rest.first {
            case ":":
                rest.removeFirst()
                let name = rest.prefix { $0.isLetter || $0.isNumber || $0 == "_" }
                guard !name.isEmpty else { return .malformed }
                rest = rest[name.endIndex...]
                let expression = rest.first == "(" ? parenthesized() : "[^/]+?"
                return expression.map { .group(slash: slash, $0, count()) } ?? .malformed
            case "(": return parenthesized().map { .group(slash: slash, $0, count()) } ?? .malformed
            case ")": return .malformed
            case "*":
                rest.removeFirst()
                return .anything
            default:
                rest.removeFirst()
                return .text(first)
            }
        }

        private mutating func count() -> Count? {
            guard let count = rest.first.flatMap(Count.init) else { return nil }
            rest.removeFirst()
            return count
        }

        /// The text between the parentheses with which `rest` begins; groups inside do not capture.
        private mutating func parenthesized() -> String? {
            var depth = 0
            var inner = ""
            var isEscaped = false
            while let character = rest.popFirst() {
                if isEscaped {
                    isEscaped = false
                } else if character == "\\" {
                    isEscaped = true
                } else if character == "(" {
                    depth += 1
                    if depth == 1 { continue }
                    inner += rest.first == "?" ? "(" : "(?:"
                    continue
                } else if character == ")" {
                    depth -= 1
                    if depth == 0 { return inner.isEmpty ? nil : inner }
                }
                inner.append(character)
            }
            return nil
        }
    }
}
