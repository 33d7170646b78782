/// A filter of a rule, in which `{user}`, `{claim.PATH}`, `{client}` and `{address}` stand for values of the client.
///
/// A value is inserted as a whole. It is never a wildcard, more than one level, or the `$` of a reserved name: the
/// filter does not apply to a client with such a value.
package struct FilterTemplate: Sendable, Hashable {
    /// A part of a template that is replaced by a value of the client.
    package enum Placeholder: Sendable, Hashable {
        case user
        /// The broker's name for the client.
        case client
        case address
        case claim(ExactText)
    }

    private enum Part: Sendable, Hashable {
        case text(String)
        case placeholder(Placeholder)
    }

    /// Why a text is not a template.
    package enum Mistake: Error, Equatable, Sendable, CustomStringConvertible {
        case unclosed
        case unknown(String)
        case notAFilter(TopicError)

        /// One sentence.
        package var description: String {
            switch self {
            case .unclosed: "A placeholder that begins with '{' has no '}'; write '{{' for a brace."
            case .unknown(let name):
                "There is no placeholder {\(name)}; the placeholders are {user}, {client}, {address} and {claim.PATH}."
            case .notAFilter(let error): error.description
            }
        }
    }

    /// The text as written.
    package let text: String
    private let parts: [Part]
    /// The placeholders in the template, each once.
    private let wanted: [Placeholder]
    /// The filter if the template has no placeholder, else `nil`.
    private let plain: TopicFilter?

    /// Whether both are equal byte by byte, so that they give every client the same filters.
    package static func == (left: Self, right: Self) -> Bool {
        left.text.utf8.elementsEqual(right.text.utf8) && left.parts == right.parts
    }

    /// Parses a template.
    package init(_ text: String, limits: TopicLimits = TopicLimits()) throws(Mistake) {
        self.text = text
        parts = try Self.parse(text)
        wanted = Self.placeholders(parts)
        let sample = parts.map { if case .text(let text) = $0 { text } else { "x" } }.joined()
        do throws(TopicError) {
            let filter = try TopicFilter(sample, limits: limits)
            plain = wanted.isEmpty ? filter : nil
        } catch {
            throw .notAFilter(error)
        }
    }

    /// Creates a template without placeholders.
    package init(_ filter: TopicFilter) {
        text = filter.name
        parts = [.text(filter.name)]
        wanted = []
        plain = filter
    }

    private static func placeholders(_ parts: [Part]) -> [Placeholder] {
        var found: [Placeholder] = []
        for case .placeholder(let one) in parts where !found.contains(one) { found.append(one) }
        return found
    }

    private static func parse(_ text: String) throws(Mistake) -> [Part] {
        var parts: [Part] = []
        var literal = ""
        var rest = Substring(text).unicodeScalars
        while let scalar = rest.popFirst() {
            guard scalar == "{" else {
                literal.unicodeScalars.append(scalar)
                continue
            }
            if rest.first == "{" {
                rest.removeFirst()
                literal.append("{")
                continue
            }
            guard let end = rest.firstIndex(of: "}") else { throw .unclosed }
            let name = String(rest[..<end])
            rest = rest[rest.index(after: end)...]
            if !literal.isEmpty { parts.append(.text(literal)) }
            literal = ""
            parts.append(.placeholder(try placeholder(name)))
        }
        if !literal.isEmpty { parts.append(.text(literal)) }
        return parts
    }

    private static func placeholder(_ name: String) throws(Mistake) -> Placeholder {
        switch name {
        case "user": return .user
        case "client": return .client
        case "address": return .address
        default:
            guard name.utf8.starts(with: "claim.".utf8), name.utf8.count > 6 else { throw .unknown(name) }
            return .claim(ExactText(String(Substring(name.utf8.dropFirst(6)))))
        }
    }

    /// The template parsed as a filter, with its placeholders as plain text, to compare templates; `nil` if that fails.
    package var outline: TopicFilter? { try? TopicFilter(text, limits: .none) }

    /// The placeholders in the template.
    package var placeholders: Set<Placeholder> { Set(wanted) }

    /// The maximum number of filters that one template gives; a claim that is an array gives one for each element.
    static let maximumFilters = 32

    /// The filters for a client; empty if a value is missing or unusable.
    package func filters(for subject: Subject) -> [TopicFilter] {
        if let plain { return [plain] }
        return filters { Array(Self.values(of: $0, subject).filter(Self.isFit).prefix(Self.maximumFilters)) }
    }

    /// The filters that deny a client something.
    ///
    /// Where a value is missing or unusable, or there are too many values, `+` takes the place of its level: a denial
    /// that did not apply would allow what it should prevent.
    package func denied(for subject: Subject) -> [TopicFilter] {
        if let plain { return [plain] }
        var values: [Placeholder: [String]] = [:]
        var count = 1
        for placeholder in wanted {
            let found = Self.values(of: placeholder, subject)
            let areFit = !found.isEmpty && found.count <= Self.maximumFilters && found.allSatisfy(Self.isFit)
            values[placeholder] = areFit ? found : [Self.anyLevel]
            count *= areFit ? found.count : 1
        }
        let areFew = count <= Self.maximumFilters
        return filters(isDenial: true) { areFew ? values[$0] ?? [Self.anyLevel] : [Self.anyLevel] }
    }

    /// Stands for any value; real values have no control characters.
    private static let anyLevel = "\u{0}"

    /// - Parameter valuesOf: returns the values of a placeholder.
    private func filters(isDenial: Bool = false, _ valuesOf: (Placeholder) -> [String]) -> [TopicFilter] {
        // Nearly all templates have one placeholder.
        if wanted.count == 1 {
            return valuesOf(wanted[0]).prefix(Self.maximumFilters).compactMap { value in
                filter(isDenial: isDenial) { _ in value }
            }
        }
        var choices: [[Placeholder: String]] = [[:]]
        for placeholder in wanted {
            let values = valuesOf(placeholder)
            choices = choices.flatMap { choice in
                values.map { value in choice.merging([placeholder: value]) { $1 } }
            }
            choices = Array(choices.prefix(Self.maximumFilters))
        }
        return choices.compactMap { choice in filter(isDenial: isDenial) { choice[$0] ?? "" } }
    }

    private func filter(isDenial: Bool, _ value: (Placeholder) -> String) -> TopicFilter? {
        var name = ""
        for part in parts {
            switch part {
            case .text(let text): name += text
            case .placeholder(let placeholder): name += value(placeholder)
            }
        }
        if name.utf8.contains(0) {
            // Split by bytes: `Character` joins a slash and a combining accent after it.
            name = TopicGrammar.levels(of: name).map { $0.utf8.contains(0) ? "+" : $0 }.joined(separator: "/")
            // `+/#` does not match topics that begin with `$`; a lone `#` matches all topics outside `$SYS`.
            if name == "+/#" { name = "#" }
        } else if !isDenial, case .placeholder = parts.first, name.utf8.first == TopicGrammar.dollar {
            return nil
        }
        return try? TopicFilter(name, limits: .none)
    }

    private static func values(of placeholder: Placeholder, _ subject: Subject) -> [String] {
        switch placeholder {
        // A user with such a name can log in, but no rule with `{user}` applies to it.
        case .user: return subject.principal.user.map { Principal.isName($0) ? [$0] : [] } ?? []
        case .client: return subject.client.map { [$0] } ?? []
        case .address: return subject.address.map { [$0] } ?? []
        case .claim(let path): return subject.principal.claims[path] ?? []
        }
    }

    /// Whether a value is one level or a part of one, without wildcards and control characters: 1 to 256 bytes.
    private static func isFit(_ value: String) -> Bool {
        guard 1...256 ~= value.utf8.count else { return false }
        return value.unicodeScalars.allSatisfy { scalar in
            switch scalar {
            case "/", "+", "#", "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}": false
            default: true
            }
        }
    }
}
