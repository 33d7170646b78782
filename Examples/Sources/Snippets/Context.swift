/// What the documentation's snippets speak of and do not declare.
struct Order: Codable {
    let item: String
    let count: Int
}

struct Receipt: Codable {
    let number: Int
}

/// Whether a session's cookie is one that was given out.
func isKnown(_ session: String?) async -> Bool { session == "known" }
