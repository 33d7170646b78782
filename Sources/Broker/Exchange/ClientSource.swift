/// Where a client comes from, as its request says: the web page, and the program.
///
/// One object for all clients of a reactor that say the same.
package final class ClientSource {
    /// The page's origin; `nil`: it is no page's.
    package let origin: String?
    /// The program's name, the `User-Agent`; `nil`: it has not said it.
    package let agent: String?

    fileprivate init(_ key: ClientSources.Key) { (origin, agent) = (key.origin, key.agent) }
}

/// The sources of one reactor's clients, each kept once.
///
/// What strangers send fills no memory: long texts are cut, and beyond ``maximum`` sources new ones are not kept. Runs on the
/// reactor's thread.
package struct ClientSources {
    fileprivate struct Key: Hashable {
        let origin: String?
        let agent: String?
    }

    /// How many sources are kept.
    static let maximum = 1024
    /// The most bytes of one text.
    static let maximumText = 160

    private var known: [Key: ClientSource] = [:]
    /// How many new sources found no room since the last look for those that nobody has any more.
    private var misses = 0
    /// The sources of the last clients: each has one place, and is found there without a string.
    private var last = ContiguousArray<ClientSource?>(repeating: nil, count: lastCount)
    private static let lastCount = 64

    package init() {}

    /// The source that one of the last clients had, too; `nil`: it is not known so.
    ///
    /// - Parameters:
    ///   - origin: the bytes of the page's origin; empty: there is none.
    ///   - agent: those of the program's name; empty: there is none.
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

    /// By the length and the last letters of each: programs of one name differ in their versions, which come last.
    private static func place(_ origin: Span<UInt8>, _ agent: Span<UInt8>) -> Int {
        let mixed = mark(of: origin) &* 31 ^ mark(of: agent)
        return Int(truncatingIfNeeded: (mixed &* 0x9E37_79B9_7F4A_7C15) &>> 58) & (lastCount - 1)
    }

    private static func mark(of text: Span<UInt8>) -> UInt64 {
        let length = min(8, text.count)
        return text.word(at: text.count &- length, count: length) ^ UInt64(text.count)
    }

    /// The source of a client; `nil`: it says nothing of itself, or there are too many sources.
    package mutating func source(origin: String?, agent: String?) -> ClientSource? {
        guard origin != nil || agent != nil else { return nil }
        let key = Key(origin: origin.map(Self.clip), agent: agent.map(Self.clip))
        if let found = known[key] {
            remember(found)
            return found
        }
        if known.count >= Self.maximum {
            // Each look costs as much as there are sources, so not every stranger causes one.
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
            // Out of the table, or that would have it, too.
            guard var source = known.removeValue(forKey: key) else { continue }
            if !isKnownUniquelyReferenced(&source) { known[key] = source }
        }
    }

    private static func clip(_ text: String) -> String {
        text.utf8.count <= maximumText ? text : String(text.prefix(maximumText / 4)) + "…"
    }
}
