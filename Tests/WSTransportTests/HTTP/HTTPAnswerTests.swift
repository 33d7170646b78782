import Foundation
import Testing

@testable import WSTransport

@Suite("RFC 9112 §9: requests and answers on one connection")
struct HTTPAnswerTests {
    private static func get(_ target: String, _ fields: String = "") -> String {
        "GET \(target) HTTP/1.1\r\nHost: h\r\n\(fields)\r\n"
    }

    @Test func answersPipelinedRequestsInOrder() throws {
        let harness = try HTTPHarness()
        let peer = try harness.connect()
        try peer.send((0..<50).map { Self.get("/path/\($0)?a=%20\($0)&b") }.joined())
        for number in 0..<50 {
            let answer = try peer.readAnswer()
            #expect(answer.status == 200 && answer.body == "GET \(number) a= \(number)&b=")
            #expect(answer.fields.only("Content-Length") == String(answer.body.utf8.count))
            #expect(answer.fields.only("Date")?.hasSuffix(" GMT") == true && answer.fields.first("Connection") == nil)
        }
        #expect(harness.reactor.counters.requests.current == 50)
    }

    @Test func answersSplitRequests() throws {
        let harness = try HTTPHarness()
        let request = "\r\n" + Self.get("/path/x?y=z", "Accept: */*\r\n")
        for cut in 1..<request.utf8.count {
            let peer = try harness.connect()
            try peer.send(String(request.prefix(cut)))
            try harness.reactor.turns(1)
            try peer.send(String(request.dropFirst(cut)))
            #expect(try peer.readAnswer().body == "GET x y=z")
        }
    }

    @Test func pipelinedRequestsWaitForALateAnswer() throws {
        let harness = try HTTPHarness()
        let peer = try harness.connect()
        try peer.send(Self.get("/later/1") + Self.get("/later/2") + Self.get("/path/3"))
        for number in 1...2 {
            try harness.waitForPending()
            #expect(harness.reactor.counters.requests.current == number, "one exchange at a time")
            try harness.doPending()
            #expect(try peer.readAnswer().body == "later \(number)")
        }
        #expect(try peer.readAnswer().body == "GET 3 ")
    }

    /// A client may announce that it will send nothing more, and still wants all its answers.
    @Test func answersEverythingToAHalfClosedPeer() throws {
        let harness = try HTTPHarness()
        let peer = try harness.connect()
        try peer.send(Self.get("/later/1") + Self.get("/path/2"))
        peer.socket.shutDownSending()
        try harness.waitForPending()
        try harness.reactor.turns()
        try harness.doPending()
        #expect(try peer.readAnswer().body == "later 1")
        #expect(try peer.readAnswer().body == "GET 2 ")
        #expect(try peer.readToEnd() == "")
    }

    @Test func answersALateRequestOfAHalfClosedPeer() throws {
        let harness = try HTTPHarness()
        let peer = try harness.connect()
        try peer.send(Self.get("/later/1"))
        peer.socket.shutDownSending()
        try harness.waitForPending()
        try harness.reactor.turns()
        try harness.doPending()
        #expect(try peer.readAnswer().body == "later 1")
        #expect(try peer.readToEnd() == "")
    }

    @Test func answersHEADWithTheLengthButNoBody() throws {
        let harness = try HTTPHarness()
        let peer = try harness.connect()
        try peer.send("HEAD /path/x HTTP/1.1\r\nHost: h\r\n\r\n" + Self.get("/path/y"))
        let head = try peer.readAnswer(isHead: true)
        #expect(head.status == 200 && head.fields.only("Content-Length") == "7")
        #expect(try peer.readAnswer().body == "GET y ")
        try peer.send("HEAD /missing HTTP/1.1\r\nHost: h\r\n\r\n" + Self.get("/nothing"))
        let missing = try peer.readAnswer(isHead: true)
        #expect(missing.status == 404 && missing.fields.only("Content-Length") != "0")
        let nothing = try peer.readAnswer()
        #expect(nothing.status == 204 && nothing.fields.first("Content-Length") == nil)
        #expect(nothing.fields.only("X-A") == "b")
    }

    @Test(arguments: [
        ("HTTP/1.1", "", true), ("HTTP/1.1", "Connection: close\r\n", false),
        ("HTTP/1.1", "Connection: x, Close\r\n", false), ("HTTP/1.0", "", false),
        ("HTTP/1.0", "Connection: Keep-Alive\r\n", true),
        ("HTTP/1.0", "Connection: keep-alive, close\r\n", false),
    ])
    func keepsOrClosesTheConnectionAsRequested(version: String, fields: String, keeps: Bool) throws {
        let harness = try HTTPHarness()
        let peer = try harness.connect()
        let request = "GET /path/1 \(version)\r\nHost: h\r\n\(fields)\r\n"
        try peer.send(request + request)
        let answer = try peer.readAnswer()
        #expect(answer.body == "GET 1 " && (answer.fields.only("Connection") == "close") == !keeps)
        if keeps { #expect(try peer.readAnswer().body == "GET 1 ") } else { #expect(try peer.readToEnd() == "") }
    }

    @Test func closesConnectionsWhileDraining() throws {
        let harness = try HTTPHarness(settings: { $0.isDraining = { true } })
        let peer = try harness.connect()
        try peer.send(Self.get("/path/1"))
        #expect(try peer.readAnswer().body == "GET 1 ")
        #expect(try peer.readToEnd() == "")
    }

    @Test func sendsTheFieldsOfARefusal() throws {
        let harness = try HTTPHarness()
        let peer = try harness.connect()
        try peer.send(Self.get("/refused") + Self.get("/path/1?%zz") + Self.get("/path/2"))
        let answer = try peer.readAnswer()
        #expect(answer.status == 403 && answer.body == "No.\n" && answer.fields.only("X-Extra") == "1")
        #expect(try peer.readAnswer().status == 400)
        #expect(try peer.readAnswer().body == "GET 2 ")
    }

    @Test func sendsAnAnswerLargerThanTheSocketBuffer() throws {
        let text = String(repeating: "0123456789", count: 50_000)
        let harness = try HTTPHarness(routes: { routing, _ in
            routing.add(["GET"], exactly: "/") { $0.respond(OutgoingResponse(contentType: "text/plain", text: text)) }
        })
        let peer = try harness.connect(sendBytes: 4096)
        try peer.send(Self.get("/") + Self.get("/", "Connection: close\r\n"))
        for _ in 0..<2 { #expect(try peer.readAnswer().body == text) }
        #expect(try peer.readToEnd() == "")
    }

    @Test func sendsOnlyTheFirstAnswer() throws {
        let harness = try HTTPHarness(routes: { routing, stage in
            // On the reactor's thread, as the handlers are.
            nonisolated(unsafe) let stage = stage
            routing.add(["GET"], exactly: "/") { exchange in
                for text in ["first", "second"] {
                    exchange.respond(OutgoingResponse(contentType: "text/plain", text: text))
                }
                exchange.refuse(HTTPRefusal(status: 500, message: "third"))
                stage.pending.append { exchange.respond(OutgoingResponse(contentType: "text/plain", text: "fourth")) }
            }
        })
        let peer = try harness.connect()
        try peer.send(Self.get("/"))
        #expect(try peer.readAnswer().body == "first")
        try harness.doPending()
        try peer.send(Self.get("/x", "Connection: close\r\n"))
        #expect(try peer.readAnswer().status == 404)
        #expect(try peer.readToEnd() == "")
    }

    @Test func dropsAnAnswerToADisconnectedPeer() throws {
        let harness = try HTTPHarness()
        let peer = try harness.connect()
        try peer.send(Self.get("/later/1"))
        try harness.waitForPending()
        peer.socket.close()
        try harness.doPending()
        let next = try harness.connect()
        try next.send(Self.get("/path/2"))
        #expect(try next.readAnswer().body == "GET 2 ")
    }
}
