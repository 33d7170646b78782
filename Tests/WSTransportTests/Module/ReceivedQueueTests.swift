import Testing

@testable import WSTransport

@Suite("ws.Socket: the queue of received messages")
struct ReceivedQueueTests {
    private struct Random: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (state >> 33) ^ (state << 31)
        }
    }

    private static let core = SocketCore(
        link: ReactorLink(remote: nil), limits: .init(), isClient: false, subprotocol: "")

    private static func body(_ number: Int, count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: number &+ $0) }
    }

    private static func message(_ number: Int, count: Int) -> WebSocketMessage {
        body(number, count: count).withUnsafeBytes { bytes in
            ReceivedBytes(.binary, bytes, isCompressed: false).message(of: core)
        }
    }

    /// Random calls, compared with an array: small messages, made ones, and some put before all others, in a ring that
    /// grows and wraps.
    @Test(arguments: 0..<20)
    func isFirstInFirstOut(seed: Int) throws {
        var random = Random(state: UInt64(seed) &+ 1)
        let queue = ReceivedQueue()
        var model: [[UInt8]] = []
        for number in 0..<2000 {
            let count = Int.random(in: 0...MessageBody.maximumInPlace, using: &random)
            let body = Self.body(number, count: count)
            switch Int.random(in: 0..<(number < 1000 ? 6 : 10), using: &random) {
            case 0, 1:
                body.withUnsafeBytes { bytes in
                    queue.append(ReceivedBytes(.binary, bytes, isCompressed: number % 2 == 0))
                }
                model.append(body)
            case 2:
                queue.append(Self.message(number, count: count + 100))
                model.append(Self.body(number, count: count + 100))
            case 3:
                queue.prepend(Self.message(number, count: count))
                model.insert(body, at: 0)
            default:
                let message = queue.popFirst(of: Self.core)
                #expect(message?.body == (model.isEmpty ? nil : model.removeFirst()))
            }
            #expect(queue.isEmpty == model.isEmpty)
        }
    }

    @Test func keepsTheTypeAndWhatCountsAsHeld() {
        let queue = ReceivedQueue()
        Array("text".utf8).withUnsafeBytes { bytes in queue.append(ReceivedBytes(.text, bytes, isCompressed: true)) }
        let message = queue.popFirst(of: Self.core)
        #expect(message?.type == .text && message?.compress == true && message?.masked == true)
        #expect(message?.data == .text("text") && message?.held == 4 + SocketCore.overhead)
    }

    /// A queue that is dropped lets go of its messages.
    @Test func releasesWhatIsLeft() {
        weak var left: WebSocketMessage?
        do {
            let queue = ReceivedQueue()
            let message = Self.message(1, count: 100)
            left = message
            queue.append(message)
            queue.append(ReceivedBytes(.binary, UnsafeRawBufferPointer(start: nil, count: 0), isCompressed: false))
        }
        #expect(left == nil)
    }
}
