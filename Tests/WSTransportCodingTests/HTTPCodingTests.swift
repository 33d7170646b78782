import Foundation
import Testing
import WSTransportCoding

@testable import WSTransport

@Suite("HTTP: JSON in requests and answers", .timeLimit(.minutes(10)))
struct HTTPCodingTests {
    private struct Order: Codable, Equatable {
        struct Line: Codable, Equatable {
            var count: UInt8
        }
        var lines: [Line]
    }

    /// Sends a body to a server that doubles orders; returns the head and the body of its answer.
    private static func ask(_ body: String) async throws -> (head: String, body: String) {
        // A test's task may wait for long between its connection and its request, where many tests run.
        var options = HTTPServer.Options()
        options.headTimeout = .seconds(120)
        let server = HTTPServer(
            port: 0,
            handler: FunctionHandler { (request: ServerRequest) in
                var order = try await request.json(as: Order.self, maximum: 100)
                order.lines += order.lines
                request.response.fields.append("content-type", "text/plain")
                request.response.fields.append("X-Kept", "yes")
                request.response.write("replaced")
                try request.response.json(order)
            }, options: options)
        try server.start()
        let address = try #require(SocketAddress(host: "127.0.0.1", port: server.port))
        let stream = try await WS.stream(to: address)
        let head = "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: \(body.utf8.count)\r\n\r\n"
        try await stream.write(Array((head + body).utf8))
        var answer: [UInt8] = []
        while let bytes = try await stream.read() { answer += bytes }
        await stream.close()
        await server.stop()
        let parts = String(decoding: answer, as: UTF8.self).split(separator: "\r\n\r\n", maxSplits: 1)
        return (String(parts[0]), parts.count > 1 ? String(parts[1]) : "")
    }

    @Test func readsAndWritesJSON() async throws {
        let answer = try await Self.ask(#" {"lines":[{"count":255}],"more":null} "#)
        #expect(answer.head.hasPrefix("HTTP/1.1 200 "))
        #expect(answer.head.contains("\r\nContent-Type: application/json") && answer.head.contains("X-Kept: yes"))
        #expect(!answer.head.contains("text/plain"))
        #expect(answer.body == #"{"lines":[{"count":255},{"count":255}]}"#)
    }

    @Test(arguments: [
        (#"{"lines":[{"count":1},{"count":"a"}]}"#, 400, "\"lines.1.count\""),
        (#"{"lines":[{"count":256}]}"#, 400, "a number that does not fit"),
        ("", 400, "The body is not the JSON that is expected: "),
        ("{", 400, "expected: At byte 1: expected a name in quotes"), ("{}", 400, "lines"),
        (String(repeating: " ", count: 101), 413, ""),
    ])
    func rejectsUnexpectedBodies(body: String, status: Int, text: String) async throws {
        let answer = try await Self.ask(body)
        #expect(answer.head.hasPrefix("HTTP/1.1 \(status) "))
        #expect(text.isEmpty || answer.body.contains(text))
    }
}
