import Load
import WSTransport

/// The protocol of NATS, over WebSocket or TCP: lines, a payload after each `MSG`.
struct NATSDialect: LoadDialect {
    let isWebSocket: Bool
    /// Whether each pair of a subscriber and a publisher has its own subject.
    let isPaired: Bool
    let target = "/"
    let subprotocol: String? = nil
    let opcode = Opcode.binary

    func greeting(isSubscriber: Bool, number: Int) -> [[UInt8]] {
        let subscription = isSubscriber ? "SUB \(subject(number)) 1\r\n" : ""
        return [Array(#"CONNECT {"verbose":false,"pedantic":false,"echo":false}\#r\#n\#(subscription)PING\#r\#n"#.utf8)]
    }

    func readyMark(isSubscriber: Bool) -> [UInt8]? { Array("PONG\r\n".utf8) }

    func publication(_ payload: [UInt8]) -> [UInt8] { publication(payload, of: 0) }

    func publication(_ payload: [UInt8], of number: Int) -> [UInt8] {
        Array("PUB \(subject(number)) \(payload.count)\r\n".utf8) + payload + [13, 10]
    }

    private func subject(_ number: Int) -> String { isPaired ? "bench.\(number)" : "bench" }

    func read(_ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Void) -> Int {
        var index = 0
        while let end = bytes[index...].firstIndex(of: 10) {
            var next = end + 1
            if bytes[index] == UInt8(ascii: "M") {
                let digits = bytes[index..<end].reversed().dropFirst().prefix { $0 != 32 }.reversed()
                let count = digits.reduce(0) { $0 * 10 + Int($1 &- 48) }
                guard next + count + 2 <= bytes.count else { return index }
                body(UnsafeRawBufferPointer(rebasing: bytes[next..<next + count]))
                next += count + 2
            }
            index = next
        }
        return index
    }
}
