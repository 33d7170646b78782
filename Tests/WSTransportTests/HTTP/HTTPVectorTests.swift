import Testing

@testable import WSTransport

/// A client's bytes, and the answers that it gets.
struct RequestVector: Decodable, Sendable, CustomTestStringConvertible {
    let name: String
    let bytes: String
    /// The statuses of the answers, in their order.
    let statuses: [Int]
    /// Whether the server closes after the last one.
    let ends: Bool
    /// Which answers have no body, whatever their fields say.
    let heads: [Int]?

    var testDescription: String { name }
}

@Suite("RFC 9110, RFC 9112: requests, split anywhere", .timeLimit(.minutes(10)))
struct HTTPVectorTests {
    static let vectors: [RequestVector] = Vectors.load("requests")

    /// The statuses of the answers to `pieces`, each read separately, and whether the connection has ended.
    private static func answers(
        to pieces: [ArraySlice<UInt8>], of vector: RequestVector, in harness: HTTPHarness
    ) throws -> [String] {
        let peer = try harness.connect()
        let counters = harness.reactor.counters
        for piece in pieces where !piece.isEmpty {
            let before = counters.receivedBytes.current
            do { try peer.socket.send(Array(piece)) } catch { break }
            // A refused client is not read any more, or only to its end.
            try harness.reactor.wait {
                counters.receivedBytes.current >= before + piece.count || counters.connections.current == 0
            }
        }
        var found: [String] = []
        for index in vector.statuses.indices {
            let isHead = vector.heads?.contains(index) ?? false
            let answer = try peer.readAnswer(isHead: isHead)
            let closes = answer.fields.tokens("Connection").contains("close")
            found.append("\(answer.status)\(closes ? " close" : "")")
        }
        if vector.ends {
            found.append(try peer.readToEnd())
        } else {
            try peer.send("GET /path/next HTTP/1.1\r\nHost: h\r\n\r\n")
            found.append(try peer.readAnswer().body)
        }
        peer.socket.close()
        try harness.reactor.wait { counters.connections.current == 0 }
        return found
    }

    private static func expected(_ vector: RequestVector) -> [String] {
        let last = vector.statuses.count - 1
        let statuses = vector.statuses.enumerated().map { index, status in
            "\(status)\(vector.ends && index == last ? " close" : "")"
        }
        return statuses + [vector.ends ? "" : "GET next "]
    }

    @Test(arguments: vectors)
    func answers(_ vector: RequestVector) throws {
        let harness = try HTTPHarness()
        let bytes = Array(vector.bytes.utf8)
        let expected = Self.expected(vector)
        #expect(try Self.answers(to: [bytes[...]], of: vector, in: harness) == expected, "whole")
        for cut in Vectors.cuts(of: bytes.count) {
            let pieces = [bytes[..<cut], bytes[cut...]]
            #expect(try Self.answers(to: pieces, of: vector, in: harness) == expected, "cut at \(cut)")
        }
        guard bytes.count < 2000 else { return }
        let single = bytes.indices.map { bytes[$0...$0] }
        #expect(try Self.answers(to: single, of: vector, in: harness) == expected, "byte by byte")
    }

    /// An HTTP/1.0 client must be told that the connection stays open.
    @Test func tellsHTTP10ClientsThatTheConnectionIsKept() throws {
        let harness = try HTTPHarness()
        let peer = try harness.connect()
        try peer.send("GET /path/x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        #expect(try peer.readAnswer().fields.all("Connection") == ["keep-alive"])
        try peer.send("GET /path/x HTTP/1.0\r\n\r\n")
        #expect(try peer.readAnswer().fields.all("Connection") == ["close"])
        #expect(try peer.readToEnd() == "")
    }

    /// Answers wait for the reader, and requests for the answers.
    @Test func limitsMemoryForAPeerThatDoesNotRead() throws {
        let harness = try HTTPHarness(routes: { routing, _ in
            let text = String(repeating: "a", count: 10_000)
            routing.add(["GET"], exactly: "/large") {
                $0.respond(OutgoingResponse(contentType: "text/plain", text: text))
            }
        })
        let peer = try harness.connect(sendBytes: 4096)
        let request = "GET /large HTTP/1.1\r\nHost: h\r\n\r\n"
        // As many as fit into the buffers on the way, as the peer does not read.
        let count = 2000
        let all = Array(String(repeating: request, count: count).utf8)
        let sender = try startThread(named: "sender") { [socket = peer.socket] in try? socket.send(all) }
        let counters = harness.reactor.counters
        try harness.reactor.wait { counters.requests.current > 5 }
        var most = 0
        for _ in 0..<count {
            #expect(try peer.readAnswer().body.utf8.count == 10_000)
            most = max(most, try harness.reactor.run { reactor, _ in reactor.unsentOfAll })
        }
        sender.join()
        #expect(counters.requests.current == count)
        #expect(most < 200_000, "64 KiB, one more answer, and the bytes of one turn")
    }
}

extension Reactor {
    /// The unsent bytes of all connections.
    fileprivate var unsentOfAll: Int {
        (0..<64).compactMap { connection(in: $0)?.unsentBytes }.reduce(0, +)
    }
}
