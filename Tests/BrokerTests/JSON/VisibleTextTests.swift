import Broker
import Testing

@Suite("JSON in logs: nothing in it controls a terminal")
struct VisibleTextTests {
    @Test(arguments: [
        ("plain", #""plain""#), ("grün 😀 \u{A0}", #""grün 😀 \#u{A0}""#), ("\u{7F}\u{9B}31m", #""\u007f\u009b31m""#),
        ("a\u{202E}b\u{2066}c\u{85}", #""a\u202eb\u2066c\u0085""#), ("\u{1B}[2J\n\u{2028}", #""\u001b[2J\n\u2028""#),
    ])
    func escapesWhatCouldControlATerminal(text: String, written: String) throws {
        var writer = JSONWriter()
        writer.string(text)
        let json = VisibleText.json(writer.bytes)
        #expect(String(decoding: json, as: UTF8.self) == written)
        #expect(try JSONValue(parsing: json.span).string == text, "it reads back as the same text")
    }
}
