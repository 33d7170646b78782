/// Finds declarations that are mentioned nowhere.
///
/// A rough reading, word by word: a name that several declarations share counts as mentioned only where it occurs more
/// often than it is declared. So it misses some, and what it finds is dead or is called by something outside.
enum DeadDeclarations {
    /// One name that nothing mentions, and the file that declares it.
    struct Finding: Hashable, CustomStringConvertible {
        let name: String
        let path: String

        var description: String { "\(path): \(name)" }
    }

    /// The names that `sources` declare and that neither they nor `users` mention.
    ///
    /// - Parameters:
    ///   - sources: the paths and texts of the declaring files.
    ///   - users: the texts of other files that may mention them.
    static func find(in sources: [(path: String, text: String)], users: [String]) -> [Finding] {
        var mentions: [Substring: Int] = [:]
        var declarations: [Substring: [(path: String, isExported: Bool)]] = [:]
        for (path, text) in sources {
            for line in text.utf8.split(separator: UInt8(ascii: "\n")) {
                let words = words(of: line)
                for word in words { mentions[word, default: 0] += 1 }
                let isExported = words.contains { exports.contains($0) }
                for (keyword, name) in zip(words, words.dropFirst())
                where declares(keyword, name)
                    && text.utf8[keyword.endIndex..<name.startIndex].allSatisfy({ $0 == UInt8(ascii: " ") })
                {
                    declarations[name, default: []].append((path, isExported))
                }
            }
        }
        for line in users.flatMap({ $0.utf8.split(separator: UInt8(ascii: "\n")) }) {
            for word in words(of: line) { mentions[word, default: 0] += 1 }
        }
        return declarations.flatMap { name, places -> [Finding] in
            guard mentions[name] == places.count else { return [] }
            return places.filter { !$0.isExported }.map { Finding(name: String(name), path: $0.path) }
        }.sorted { $0.description < $1.description }
    }

    private static let keywords: Set<Substring> = [
        "func", "var", "let", "struct", "class", "enum", "actor", "protocol", "typealias",
    ]
    /// Words that begin a pattern after `case`, where there is no name of an enumeration's case.
    private static let patterns: Set<Substring> = ["is", "nil", "true", "false"]

    /// Whether two words that follow one another declare the second.
    private static func declares(_ keyword: Substring, _ name: Substring) -> Bool {
        if keywords.contains(name) { return false }
        guard keyword == "case" else { return keywords.contains(keyword) }
        // A constant of C's is a pattern, and begins with a capital.
        return name.first?.isLowercase ?? false && !patterns.contains(name)
    }

    private static let exports: Set<Substring> = ["public", "open", "override"]

    /// The words of a line without its comment; those in quotes, too, for an interpolation may mention something.
    private static func words(of line: Substring.UTF8View) -> [Substring] {
        var words: [Substring] = []
        var start: Substring.UTF8View.Index?
        var (before, index) = (UInt8(ascii: " "), line.startIndex)
        while index < line.endIndex {
            let byte = line[index]
            if isInWord(byte) {
                start = start ?? index
            } else {
                if let first = start { words.append(Substring(line[first..<index])) }
                start = nil
                let next = line.index(after: index)
                // Not the slashes of an address.
                let isComment = byte == UInt8(ascii: "/") && next < line.endIndex && line[next] == byte
                if isComment, before != UInt8(ascii: ":") { return words }
            }
            before = byte
            index = line.index(after: index)
        }
        if let start { words.append(Substring(line[start...])) }
        return words
    }

    private static func isInWord(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x5F, 0x61...0x7A, 0x80...: true
        default: false
        }
    }
}
