internal import Broker

/// How a message is printed: text with fields in braces.
struct MessageFormat {
    enum Field: String, CaseIterable { case topic, data, seq, time, type, retained }

    private enum Part {
        case text([UInt8])
        case field(Field)
    }

    private var parts: [Part] = []

    /// Reads `{topic} {data}`, with `{{` and `}}` for braces and `\n`, `\t` and `\\`; throws a phrase.
    init(parsing source: String) throws(Failure) {
        var text = ""
        var rest = source[...]
        while let character = rest.popFirst() {
            switch (character, rest.first) {
            case ("{", "{"), ("}", "}"):
                rest.removeFirst()
                text.append(character)
            case ("\\", let escaped?) where "nt\\".contains(escaped):
                rest.removeFirst()
                text += escaped == "n" ? "\n" : escaped == "t" ? "\t" : "\\"
            case ("{", _):
                let name = rest.prefix { $0 != "}" }
                guard let field = Field(rawValue: String(name)), name.endIndex < rest.endIndex else {
                    let known = Field.allCases.map { "{\($0.rawValue)}" }.joined(separator: " ")
                    throw .usage("--format: there is no field {\(name)}; expected \(known), or {{ for a brace")
                }
                rest = rest[rest.index(after: name.endIndex)...]
                parts.append(.text(Array(text.utf8)))
                parts.append(.field(field))
                text = ""
            case ("}", _): throw .usage("--format: expected }} for a brace")
            default: text.append(character)
            }
        }
        parts.append(.text(Array(text.utf8)))
    }

    /// The line of a message, without its end.
    func line(_ message: TopicMessage) -> [UInt8] {
        parts.flatMap { part in
            switch part {
            case .text(let text): text
            case .field(.data): message.shownData
            case .field(let field): Array(Self.text(field, message).utf8)
            }
        }
    }

    private static func text(_ field: Field, _ message: TopicMessage) -> String {
        switch field {
        case .topic: message.topic
        case .data: ""
        case .seq: message.seq.map { String($0) } ?? ""
        case .time: message.time.map { String($0) } ?? ""
        case .type: message.type ?? ""
        case .retained: message.isRetained ? "true" : "false"
        }
    }
}
