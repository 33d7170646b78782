import Load
import WSTransport

/// A server that sends each message back to where it came from.
struct EchoDialect: LoadDialect {
    let target = "/echo"
    let subprotocol: String? = nil
    let opcode = Opcode.text
    let isAcknowledged = true
    /// A digit that is in every payload.
    let acknowledgement = Array("0".utf8)

    func greeting(isSubscriber: Bool, number: Int) -> [[UInt8]] { [] }
    func readyMark(isSubscriber: Bool) -> [UInt8]? { nil }
    func publication(_ payload: [UInt8]) -> [UInt8] { payload }
    func read(_ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Void) -> Int { bytes.count }
}
