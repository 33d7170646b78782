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

    package init() {}

    /// The source of a client; `nil`: it says nothing of itself, or there are too many sources.
    package mutating func source(origin: String?, agent: String?) -> ClientSource? {
        guard origin != nil || agent != nil else { return nil }
        let key = Key(origin: origin.map(Self.clip), agent: agent.map(Self.clip))
        if let found = known[key] { return found }
        if known.count >= Self.maximum {
            // Each look costs as much as there are sources, so not every stranger causes one.
            misses += 1
            if misses >= Self.maximum / 4 { forgetUnused() }
            guard known.count < Self.maximum else { return nil }
        }
        let made = ClientSource(key)
        known[key] = made
        return made
    }

    private mutating func forgetUnused() {
        misses = 0
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
