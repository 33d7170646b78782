import Load
import WSTransport

/// The protocol of NATS over WebSocket: lines, a payload behind each `MSG`.
struct NATSDialect: LoadDialect {
    let target = "/"
    let subprotocol: String? = nil
    let opcode = Opcode.binary

    func greeting(isSubscriber: Bool, number: Int) -> [[UInt8]] {
        let subscription = isSubscriber ? "SUB bench 1\r\n" : ""
        return [Array(#"CONNECT {"verbose":false,"pedantic":false,"echo":false}\#r\#n\#(subscription)PING\#r\#n"#.utf8)]
    }

    func readyMark(isSubscriber: Bool) -> [UInt8]? { Array("PONG\r\n".utf8) }

    func publication(_ payload: [UInt8]) -> [UInt8] {
        Array("PUB bench \(payload.count)\r\n".utf8) + payload + [13, 10]
    }

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
