import Testing

@Suite("Dead declarations")
struct DeadDeclarationTests {
    private func find(_ sources: String..., users: [String] = []) -> [String] {
        let numbered = sources.enumerated().map { (path: "\($0)", text: $1) }
        return DeadDeclarations.find(in: numbered, users: users).map(\.description)
    }

    @Test(arguments: [
        "func gone() {}", "    private static let gone = 1", "package var gone: Int { 1 }", "struct gone {}",
        "typealias gone = Int", "/// ``gone`` is told of.\nfunc gone() {}", "func gone() {}  // gone",
        "    case gone", "case gone(Int)", "case gone = 1",
    ])
    func findsUnmentionedDeclarations(text: String) { #expect(find(text) == ["0: gone"]) }

    @Test(arguments: [
        "func here() {}\nhere()", "let here = 1; print(\"\\(here)\")", "public func here() {}",
        "override func here() {}", "case here\nreturn .here", "switch x { case let here: here }",
        "case S_IFREG: 1", "case 400: 1", "case nil: 1",
        "func here() {}\nfunc other() { other(); here() }",
    ])
    func ignoresMentionedDeclarations(text: String) { #expect(find(text).isEmpty) }

    @Test func searchesAllFiles() {
        #expect(find("func one() {}", "one()").isEmpty)
        #expect(find("func one() {}", users: ["one()"]).isEmpty)
        #expect(find("func one() {}", "func one() {}") == ["0: one", "1: one"], "declared twice, mentioned nowhere")
        let address = "let address = \"http://one\"\nfunc one() {}\naddress"
        #expect(find(address).isEmpty, "no comment begins in an address")
        #expect(find("print(\"/var/lib\")").isEmpty, "a path declares nothing")
    }

    /// Declarations that are mentioned nowhere, and why they exist.
    static let known = [
        // Declarations that the language and the standard library call, and the program's entry.
        "superEncoder", "superDecoder", "nestedContainer", "nestedUnkeyedContainer", "callAsFunction", "Brokerd",
        "customMirror",
        // Made from the texts that are their raw values.
        "organizationalUnit",
        // Used by tests only, which check a connection's agreement or parts.
        "isResumed", "applicationProtocol",
    ]

    private static let found: [DeadDeclarations.Finding] = {
        func texts(_ folder: String) -> [(path: String, text: String)] {
            Repository.swiftFiles(in: folder).map { ($0, (try? Repository.text(of: $0)) ?? "") }
        }
        // The benchmarks' own; the product's sources are linked beside them.
        let benchmarks = ["Counted", "Counting", "MachineEcho", "PeerLoad", "TopicFigures"].flatMap {
            texts("Benchmarks/Sources/\($0)")
        }
        return DeadDeclarations.find(in: texts("Sources"), users: (benchmarks + texts("Examples")).map(\.text))
    }()

    @Test func sourcesHaveNoDeadDeclarations() {
        let dead = Self.found.filter { !Self.known.contains($0.name) }
        #expect(dead == [], "nothing in Sources uses it: remove it, or add it to known with the reason")
    }

    @Test func knownExceptionsAreStillUnmentioned() {
        #expect(Set(Self.known).subtracting(Self.found.map(\.name)) == [])
    }
}
