import Testing

@Suite("Architecture §4: each folder uses only what lies below it")
struct LayerTests {
    /// The folders that declare each top-level type which other files can see.
    static let owners: [Substring: Set<String>] = {
        var owners: [Substring: Set<String>] = [:]
        for source in Layers.sources {
            for line in (try? Repository.lines(of: source)) ?? [] where line.first?.isWhitespace == false {
                if let name = declaredName(line) { owners[name, default: []].insert(Layers.folder(of: source)) }
            }
        }
        return owners
    }()

    /// The words of each source.
    static let words: [String: Set<Substring>] = Dictionary(
        uniqueKeysWithValues: Layers.sources.map { ($0, Set(SwiftWords((try? Repository.text(of: $0)) ?? "").words)) })

    /// The words of the sources for which `isWanted` holds, given their folders.
    private static func words(where isWanted: (String) -> Bool) -> Set<Substring> {
        words.reduce(into: []) { all, source in
            if isWanted(Layers.folder(of: source.key)) { all.formUnion(source.value) }
        }
    }

    private static func declaredName(_ line: Substring) -> Substring? {
        let declaration =
            /(?:@\w+ )*(?:public |package |internal )?(?:final |indirect )*(?:struct|class|enum|protocol|actor|typealias) (\w+).*/
        return line.wholeMatch(of: declaration)?.output.1
    }

    @Test(arguments: Layers.sources)
    func everySourceIsInAListedFolder(source: String) {
        let folder = Layers.folder(of: source)
        #expect(Layers.table.keys.contains(folder), "add \(folder) to Tests/TidyTests/Layers.swift")
    }

    @Test(arguments: Layers.table.keys.sorted())
    func everyFolderIsInTheDocumentedTable(folder: String) throws {
        let rows = try Repository.lines(of: "docs/architecture.md").filter { $0.hasPrefix("| `") }
        let isThere = rows.contains { $0.split(separator: "|").first?.contains("`\(folder)`") == true }
        #expect(isThere, "add \(folder) to the table of layers in docs/architecture.md")
    }

    @Test(arguments: Layers.sources)
    func importsOnlyAllowedModules(source: String) throws {
        let folder = Layers.folder(of: source)
        // `everySourceIsInAListedFolder` reports a folder without a row.
        guard let allowed = Layers.table[folder]?.imports else { return }
        let statement = /\s*(?:@\w+ )*(?:public |package |internal |private )?import (?:\w+ )?(\w+)(?:\..*)?/
        let imports = try Repository.lines(of: source).filter { $0.hasPrefix("import ") || $0.contains(" import ") }
        let imported = imports.compactMap { $0.wholeMatch(of: statement)?.output.1 }
        let others = Set(imported.map(String.init)).subtracting(allowed)
        #expect(others == [], "\(folder) may import \(allowed.sorted()): see Tests/TidyTests/Layers.swift")
    }

    @Test(arguments: Layers.sources)
    func usesOnlyTypesOfAllowedFolders(source: String) throws {
        let home = Layers.folder(of: source)
        let allowed = Layers.reachable(from: home)
        let words = try #require(Self.words[source])
        let borrows = Layers.table[home]?.borrows ?? []
        let hidden = SwiftWords.declaredNames(in: try Repository.text(of: source))
        for name in words.subtracting(hidden).sorted() {
            guard let owners = Self.owners[name], !borrows.contains(String(name)) else { continue }
            let mayUse = !owners.isDisjoint(with: allowed)
            #expect(
                mayUse, "\(home) may not use \(name), of \(owners.sorted()): see Tests/TidyTests/Layers.swift")
        }
    }

    @Test(arguments: Layers.sources)
    func usesNoAvoidedNames(source: String) throws {
        let home = Layers.folder(of: source)
        guard let avoided = Layers.table[home]?.avoids, !avoided.isEmpty else { return }
        let named = Set(try #require(Self.words[source]).map(String.init)).intersection(avoided)
        #expect(named == [], "\(home) goes through the public face: see Tests/TidyTests/Layers.swift")
    }

    /// The avoided names exist.
    @Test(arguments: Layers.table.keys.sorted())
    func everyAvoidedNameExists(folder: String) throws {
        let avoided = Layers.table[folder]?.avoids ?? []
        if avoided.isEmpty { return }
        let words = Set(Self.words { $0 != folder }.map(String.init))
        #expect(avoided.subtracting(words) == [])
    }

    /// A debt that is paid leaves the table.
    @Test(arguments: Layers.table.keys.sorted())
    func everyBorrowedNameIsUsed(folder: String) throws {
        let words = Set(Self.words { $0 == folder }.map(String.init))
        #expect(Layers.table[folder]?.borrows.subtracting(words) == [])
    }

    @Test(arguments: Layers.table.keys.sorted())
    func layersHaveNoCycles(folder: String) {
        for used in Layers.table[folder]?.uses ?? [] {
            #expect(Layers.table[used] != nil, "\(used) is not in the table")
            #expect(!Layers.reachable(from: used).contains(folder), "\(folder) and \(used) use each other")
        }
    }
}
