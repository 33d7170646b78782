import Foundation

/// The words of a Swift file that can be names of its module: no comments, no texts, nothing that follows a dot.
///
/// A rough reading, line by line: what an interpolation holds is skipped with its text, block comments are not known.
struct SwiftWords {
    private(set) var words: [Substring] = []

    init(_ text: String) {
        var isMultiline = false
        for line in text.split(separator: "\n") {
            let delimiters = line.ranges(of: "\"\"\"").count
            if !isMultiline, delimiters == 0 { read(line) }
            if delimiters % 2 == 1 { isMultiline.toggle() }
        }
    }

    private mutating func read(_ line: Substring) {
        let bytes = line.utf8
        var index = bytes.startIndex
        var before: UInt8 = 0
        while index < bytes.endIndex {
            let byte = bytes[index]
            if byte == UInt8(ascii: "/"), before == byte { return }
            if byte == UInt8(ascii: "\"") { Self.skipText(bytes, &index) }
            guard Self.isInWord(byte) else {
                before = byte
                if index < bytes.endIndex { index = bytes.index(after: index) }
                continue
            }
            let rest = bytes[index...]
            let end = rest.firstIndex { !Self.isInWord($0) } ?? rest.endIndex
            if before != UInt8(ascii: ".") { words.append(Substring(bytes[index..<end])) }
            before = byte
            index = end
        }
    }

    /// Moves from a text's first quote to its last, or to the line's end.
    private static func skipText(_ bytes: Substring.UTF8View, _ index: inout Substring.UTF8View.Index) {
        index = bytes.index(after: index)
        while index < bytes.endIndex, bytes[index] != UInt8(ascii: "\"") {
            let isEscape = bytes[index] == UInt8(ascii: "\\")
            index = bytes.index(after: index)
            if isEscape, index < bytes.endIndex { index = bytes.index(after: index) }
        }
    }

    private static func isInWord(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x5F, 0x61...0x7A, 0x80...: true
        default: false
        }
    }

    /// The names that the file itself declares, nested types and generic parameters too; they hide others.
    ///
    /// A parameter is any name in angle brackets after the name of a declaration.
    static func declaredNames(in text: String) -> Set<Substring> {
        // Foundation's regular expressions take a tenth of the time.
        let declaration =
            #"(?:struct|class|enum|actor|protocol|typealias|associatedtype|func|init)\b *(\w*)(?:<([^>(\n]*)>)?"#
        var names: Set<Substring> = []
        guard let expression = try? NSRegularExpression(pattern: declaration) else { return names }
        for match in expression.matches(in: text, range: NSRange(text.startIndex..., in: text)) {
            if let name = Range(match.range(at: 1), in: text) { names.insert(text[name]) }
            guard let parameters = Range(match.range(at: 2), in: text) else { continue }
            for parameter in text[parameters].split(separator: ",") {
                names.insert(parameter.drop { $0 == " " }.prefix { $0.isLetter || $0.isNumber })
            }
        }
        return names
    }
}
