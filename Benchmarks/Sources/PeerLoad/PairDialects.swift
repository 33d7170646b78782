import Load
import WSTransport

/// Topic sockets of which each pair has its own topic.
struct TopicPairDialect: LoadDialect {
    let target = ""
    let subprotocol: String? = nil
    let opcode = Opcode.text

    func target(of number: Int) -> String { "/t/bench/\(number)?echo=false&snapshot=false" }
    func greeting(isSubscriber: Bool, number: Int) -> [[UInt8]] { [] }
    func readyMark(isSubscriber: Bool) -> [UInt8]? { nil }
    func publication(_ payload: [UInt8]) -> [UInt8] { payload }

    func read(_ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Void) -> Int {
        body(bytes)
        return bytes.count
    }
}

/// `broker.v1.json` of which each pair has its own topic.
struct JSONPairDialect: LoadDialect {
    let target = "/ws"
    let subprotocol: String? = "broker.v1.json"
    let opcode = Opcode.text
    private let base = JSONDialect(topic: "bench", filter: "bench")

    func greeting(isSubscriber: Bool, number: Int) -> [[UInt8]] {
        isSubscriber ? [Array(#"{"op":"subscribe","filter":"bench/\#(number)"}"#.utf8)] : []
    }

    func readyMark(isSubscriber: Bool) -> [UInt8]? { base.readyMark(isSubscriber: isSubscriber) }
    func publication(_ payload: [UInt8]) -> [UInt8] { publication(payload, of: 0) }

    func publication(_ payload: [UInt8], of number: Int) -> [UInt8] {
        Array(#"{"op":"publish","topic":"bench/\#(number)","data":""#.utf8) + payload + [0x22, 0x7D]
    }

    func read(_ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Void) -> Int {
        base.read(bytes, body)
    }
}
