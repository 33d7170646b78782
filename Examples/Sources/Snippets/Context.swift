import WSTransport

/// The declarations that the documentation's snippets use and do not contain.
struct Order: Codable {
    let item: String
    let count: Int
}

struct Receipt: Codable {
    let number: Int
}

/// Whether a session's cookie was issued by this server.
func isKnown(_ session: String?) async -> Bool { session == "known" }

/// A server's closure.
func echo(_ socket: WebSocket) async throws {
    for try await message in socket.messages { try await socket.send(message) }
}
