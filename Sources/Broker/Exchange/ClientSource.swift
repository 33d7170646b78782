/// The origin of a client's request: the web page and the program that it names.
///
/// All clients of a reactor with the same origin and program share one object.
package final class ClientSource {
    /// The page's origin; `nil` if the request comes from no page.
    package let origin: String?
    /// The program's name, from `User-Agent`; `nil` if there is none.
    package let agent: String?

    fileprivate init(_ key: ClientSources.Key) { (origin, agent) = (key.origin, key.agent) }
}

/// The sources of one reactor's clients, each kept once.
///
/// Its size is bounded: long texts are cut, and beyond ``maximum`` sources new ones are not kept. Runs on the reactor's
/// thread.
package struct ClientSources {
    fileprivate struct Key: Hashable {
        let origin: String?
        let agent: String?
    }

    /// How many sources are kept.
    static let maximum = 1024
    /// The maximum length of one text, in bytes.
    static let maximumText = 160

    private var known: [Key: ClientSource] = [:]
    /// How many new sources found no room since unused ones were last removed.
    private var misses = 0
    /// A cache of recent sources: each has one place, which is found without making a string.
    private var last = ContiguousArray<ClientSource?>(repeating: nil, count: lastCount)
    private static let lastCount = 64

    package init() {}

    /// The source from the cache of recent ones; `nil` if it is not there.
    ///
    /// - Parameters:
    ///   - origin: the bytes of the page's origin; empty if there is none.
    ///   - agent: the bytes of the program's name; empty if there is none.
    package func recent(origin: Span<UInt8>, agent: Span<UInt8>) -> ClientSource? {
        guard let known = last[Self.place(origin, agent)], Self.isSame(known.agent, agent),
            Self.isSame(known.origin, origin)
        else { return nil }
        return known
    }

    private static func isSame(_ text: String?, _ bytes: Span<UInt8>) -> Bool {
        guard let text else { return bytes.isEmpty }
        return !bytes.isEmpty && text.utf8Span.span.hasSameBytes(as: bytes)
    }

    private mutating func remember(_ source: ClientSource) {
        let (origin, agent) = (source.origin ?? "", source.agent ?? "")
        last[Self.place(origin.utf8Span.span, agent.utf8Span.span)] = source
    }

    /// Derived from the length and the last bytes of each text: versions of one program differ at the end.
    private static func place(_ origin: Span<UInt8>, _ agent: Span<UInt8>) -> Int {
        let mixed = mark(of: origin) &* 31 ^ mark(of: agent)
        return Int(truncatingIfNeeded: (mixed &* 0x9E37_79B9_7F4A_7C15) &>> 58) & (lastCount - 1)
    }

    private static func mark(of text: Span<UInt8>) -> UInt64 {
        let length = min(8, text.count)
        return text.word(at: text.count &- length, count: length) ^ UInt64(text.count)
    }

    /// The source of a client; `nil` if it names neither page nor program, or if there are too many sources.
    package mutating func source(origin: String?, agent: String?) -> ClientSource? {
        guard origin != nil || agent != nil else { return nil }
        let key = Key(origin: origin.map(Self.clip), agent: agent.map(Self.clip))
        if let found = known[key] {
            remember(found)
            return found
        }
        if known.count >= Self.maximum {
            // Removing unused sources visits all of them, so not every new one causes it.
            misses += 1
            if misses >= Self.maximum / 4 { forgetUnused() }
            guard known.count < Self.maximum else { return nil }
        }
        let made = ClientSource(key)
        known[key] = made
        remember(made)
        return made
    }

    private mutating func forgetUnused() {
        misses = 0
        for place in last.indices { last[place] = nil }
        for key in Array(known.keys) {
            // Taken out of the table first, so that the table does not hold a reference, too.
            guard var source = known.removeValue(forKey: key) else { continue }
            if !isKnownUniquelyReferenced(&source) { known[key] = source }
        }
    }

    private static func clip(_ text: String) -> String {
        text.utf8.count <= maximumText ? text : String(text.prefix(maximumText / 4)) + "…"
    }
}
