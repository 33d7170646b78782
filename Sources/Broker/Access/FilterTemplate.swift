/// A filter of a rule, in which `{user}`, `{claim.PATH}`, `{client}` and `{address}` stand for what is known of a principal.
///
/// What takes their place is a whole value, never a wildcard, never more than one level and never the `$` of a reserved name:
/// where a value could be any of these, the filter does not apply.
package struct FilterTemplate: Sendable, Hashable {
    /// What stands for a value.
    package enum Placeholder: Sendable, Hashable {
        case user
        /// The broker's own name for the client.
        case client
        case address
        case claim(ExactText)
    }

    private enum Part: Sendable, Hashable {
        case text(String)
        case placeholder(Placeholder)
    }

    /// Why a text is no template.
    package enum Mistake: Error, Equatable, Sendable, CustomStringConvertible {
        case unclosed
        case unknown(String)
        case notAFilter(TopicError)

        /// One sentence.
        package var description: String {
            switch self {
            case .unclosed: "A placeholder that begins with '{' has no '}'; a brace itself is '{{'."
            case .unknown(let name):
                "There is no placeholder {\(name)}: there are {user}, {client}, {address} and {claim.PATH}."
            case .notAFilter(let error): error.description
            }
        }
    }

    /// As it was written.
    package let text: String
    private let parts: [Part]
    /// The placeholders in it, each once.
    private let wanted: [Placeholder]
    /// The filter, where it has no placeholder; `nil`: it has one.
    private let plain: TopicFilter?

    /// Whether both are the same bytes, and so the same filters for everybody.
    package static func == (left: Self, right: Self) -> Bool {
        left.text.utf8.elementsEqual(right.text.utf8) && left.parts == right.parts
    }

    /// Reads a template, or says what is wrong with it.
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

    /// The filter as it is, without placeholders.
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

    /// The filter with the placeholders as they are written, to compare templates; `nil`: it is none.
    package var outline: TopicFilter? { try? TopicFilter(text, limits: .none) }

    /// The placeholders in it.
    package var placeholders: Set<Placeholder> { Set(wanted) }

    /// A claim that is an array makes one filter of each element, and all together so many at most.
    static let maximumFilters = 32

    /// The filters for a client; none where a value is missing or unfit.
    package func filters(for subject: Subject) -> [TopicFilter] {
        if let plain { return [plain] }
        return filters { Array(Self.values(of: $0, subject).filter(Self.isFit).prefix(Self.maximumFilters)) }
    }

    /// The filters of what a client is denied.
    ///
    /// Where a value is missing or unfit, or there are too many, the levels that it is in are any: a denial that did not
    /// apply would allow what it is there to deny.
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

    /// Stands for a value that may be any; no value has a control character.
    private static let anyLevel = "\u{0}"

    /// - Parameter valuesOf: of each placeholder.
    private func filters(isDenial: Bool = false, _ valuesOf: (Placeholder) -> [String]) -> [TopicFilter] {
        // Nearly all have one only.
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
            // By bytes: to `Character`, a slash and an accent after it are one.
            name = TopicGrammar.levels(of: name).map { $0.utf8.contains(0) ? "+" : $0 }.joined(separator: "/")
            // A lone # is all but $SYS, and +/# is not: it leaves what begins with $.
            if name == "+/#" { name = "#" }
        } else if !isDenial, case .placeholder = parts.first, name.utf8.first == TopicGrammar.dollar {
            return nil
        }
        return try? TopicFilter(name, limits: .none)
    }

    private static func values(of placeholder: Placeholder, _ subject: Subject) -> [String] {
        switch placeholder {
        // A name outside the grammar authenticates, but no rule with `{user}` is for it.
        case .user: return subject.principal.user.map { Principal.isName($0) ? [$0] : [] } ?? []
        case .client: return subject.client.map { [$0] } ?? []
        case .address: return subject.address.map { [$0] } ?? []
        case .claim(let path): return subject.principal.claims[path] ?? []
        }
    }

    /// Whether a value is one level, or a part of one, and no wildcard: 1 to 256 bytes without control characters.
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
