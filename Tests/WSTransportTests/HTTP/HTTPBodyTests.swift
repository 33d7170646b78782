import Foundation
import Testing

@testable import WSTransport

@Suite("RFC 9112 §6, §7: bodies of requests")
struct HTTPBodyTests {
    private static let after = "GET /path/after HTTP/1.1\r\nHost: h\r\n\r\n"

    @Test(
        arguments: [
            "Content-Length: 11\r\n\r\nhello world",
            "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nT: 1\r\n\r\n",
        ], ["/echo", "/later-echo"])
    func readsABodySplitAnywhere(body: String, path: String) throws {
        let harness = try HTTPHarness()
        let request = "POST \(path) HTTP/1.1\r\nHost: h\r\n" + body + Self.after
        for cut in 1...request.utf8.count {
            let peer = try harness.connect()
            try peer.send(String(decoding: request.utf8.prefix(cut), as: UTF8.self))
            try harness.reactor.turns(1)
            try peer.send(String(decoding: request.utf8.dropFirst(cut), as: UTF8.self))
            if path == "/later-echo" {
                try harness.waitForPending()
                try harness.doPending()
            }
            #expect(try peer.readAnswer().body == "hello world", "cut at \(cut)")
            #expect(try peer.readAnswer().body == "GET after ")
        }
    }

    @Test func readsABodyByteByByte() throws {
        let harness = try HTTPHarness()
        let peer = try harness.connect()
        let request = "PUT /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        for byte in request.utf8 {
            try peer.socket.send([byte])
            try harness.reactor.turns(1)
        }
        #expect(try peer.readAnswer().body == "abc")
    }

    @Test func readsAMissingAndAnEmptyBody() throws {
        let harness = try HTTPHarness()
        let peer = try harness.connect()
        for framing in ["", "Content-Length: 0\r\n"] {
            try peer.send("POST /echo HTTP/1.1\r\nHost: h\r\n\(framing)\r\n" + Self.after)
            #expect(try peer.readAnswer().body == "")
            #expect(try peer.readAnswer().body == "GET after ")
        }
        try peer.send("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + Self.after)
        #expect(try peer.readAnswer().body == "")
        #expect(try peer.readAnswer().body == "GET after ")
    }

    @Test func acceptsABodyOfExactlyTheLimit() throws {
        let harness = try HTTPHarness()
        let peer = try harness.connect()
        let text = String(repeating: "a", count: 1000)
        try peer.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n" + text)
        #expect(try peer.readAnswer().body == text)
        try peer.send(
            "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n\(text)\r\n0\r\n\r\n")
        #expect(try peer.readAnswer().body == text)
    }

    /// The rest of such a body is not read, so the connection ends with the answer.
    @Test(arguments: [
        "Content-Length: 1001\r\n\r\n",
        "Content-Length: 9223372036854775807\r\n\r\nabc",
        "Transfer-Encoding: chunked\r\n\r\n3e8\r\n" + String(repeating: "a", count: 1000) + "\r\n1\r\na",
        "Transfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n" + String(repeating: "a", count: 1001),
        // The announced length is enough.
        "Transfer-Encoding: chunked\r\n\r\n3e9\r\n",
        "Transfer-Encoding: chunked\r\n\r\n3e8\r\n" + String(repeating: "a", count: 1000) + "\r\n1\r\n",
    ])
    func refusesBodiesAboveTheLimit(body: String) throws {
        let harness = try HTTPHarness()
        let peer = try harness.connect()
        try peer.send("POST /echo HTTP/1.1\r\nHost: h\r\n" + body)
        let answer = try peer.readAnswer()
        #expect(answer.status == 413 && answer.fields.only("Connection") == "close")
        #expect(answer.body == "The body is longer than the limit of 1000 bytes.\n")
        #expect(try peer.readToEnd() == "")
    }

    @Test(arguments: [
        "x\r\n", "5\r\nhelloX", "5\nhello", "5 \r\nhello", "8000000000000000\r\n", "1\r\na\r\n0\r\nbad\u{1}",
    ])
    func rejectsMalformedChunks(chunks: String) throws {
        let harness = try HTTPHarness()
        let peer = try harness.connect()
        try peer.send("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
        let answer = try peer.readAnswer()
        #expect(answer.status == 400 && answer.fields.only("Connection") == "close")
        #expect(try peer.readToEnd() == "")
        #expect(harness.reactor.counters.badRequests.current == 1)
    }

    @Test func sends100ContinueIfExpected() throws {
        let harness = try HTTPHarness()
        let peer = try harness.connect()
        let head = "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-Continue\r\n\r\n"
        try peer.send(head)
        #expect(try peer.readHead().status == 100)
        try peer.send("abc")
        #expect(try peer.readAnswer().body == "abc")
        try peer.send(head.replacingOccurrences(of: ": 3", with: ": 3000"))
        #expect(try peer.readAnswer().status == 413, "a refusal comes in its place")
        #expect(try peer.readToEnd() == "")
    }

    /// RFC 9110 §10.1.1: the expectation is ignored in HTTP/1.0, whose clients know no interim answers.
    @Test func sendsNo100ContinueToHTTP10() throws {
        let harness = try HTTPHarness()
        let peer = try harness.connect()
        try peer.send("POST /echo HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc")
        let answer = try peer.readAnswer()
        #expect(answer.status == 200 && answer.body == "abc")
    }

    @Test func closesAfterAnUnreadBody() throws {
        let harness = try HTTPHarness()
        let peer = try harness.connect()
        try peer.send("POST /ignore HTTP/1.1\r\nHost: h\r\nContent-Length: 90\r\n\r\n" + Self.after)
        let answer = try peer.readAnswer()
        #expect(answer.body == "ignored" && answer.fields.only("Connection") == "close")
        #expect(try peer.readToEnd() == "", "what follows is the body, not a request")
        #expect(harness.reactor.counters.requests.current == 1)
    }

    @Test func dropsATruncatedBody() throws {
        let harness = try HTTPHarness()
        let peer = try harness.connect()
        try peer.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc")
        peer.socket.shutDownSending()
        #expect(try peer.readToEnd() == "")
    }
}
