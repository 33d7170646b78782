import WSTransport

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

/// A server's closure.
func echo(_ socket: WebSocket) async throws {
    for try await message in socket.messages { try await socket.send(message) }
}
