import Load
import WSTransport

/// MQTT 3.1.1 over WebSocket, quality of service 0.
struct MQTTDialect: LoadDialect {
    let target = "/mqtt"
    let subprotocol: String? = "mqtt"
    let opcode = Opcode.binary

    func greeting(isSubscriber: Bool, number: Int) -> [[UInt8]] {
        let name = Array((isSubscriber ? "s\(number)" : "p\(number)").utf8)
        let connect = packet(0x10, field("MQTT") + [4, 2, 0, 0] + [0, UInt8(name.count)] + name)
        return isSubscriber ? [connect, packet(0x82, [0, 1] + field("bench") + [0])] : [connect]
    }

    func readyMark(isSubscriber: Bool) -> [UInt8]? { isSubscriber ? [0x90, 3, 0, 1, 0] : [0x20, 2, 0, 0] }

    func publication(_ payload: [UInt8]) -> [UInt8] { packet(0x30, field("bench") + payload) }

    func read(_ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Void) -> Int {
        var index = 0
        while index + 2 <= bytes.count {
            var (length, shift, start) = (0, 0, index + 1)
            while start < bytes.count {
                let byte = bytes[start]
                length |= Int(byte & 127) << shift
                shift += 7
                start += 1
                if byte < 128 { break }
            }
            guard bytes[start - 1] < 128, start + length <= bytes.count else { return index }
            if bytes[index] & 0xF0 == 0x30 {
                let topic = Int(bytes[start]) << 8 | Int(bytes[start + 1])
                body(UnsafeRawBufferPointer(rebasing: bytes[start + 2 + topic..<start + length]))
            }
            index = start + length
        }
        return index
    }

    private func field(_ text: String) -> [UInt8] { [0, UInt8(text.utf8.count)] + Array(text.utf8) }

    private func packet(_ type: UInt8, _ body: [UInt8]) -> [UInt8] {
        var (head, length) = ([type], body.count)
        repeat {
            head.append(UInt8(length & 127) | (length > 127 ? 128 : 0))
            length >>= 7
        } while length > 0
        return head + body
    }
}
