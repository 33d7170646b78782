package import WSTransport

/// A server that sends each message back to its sender.
package struct EchoDialect: LoadDialect {
    package let target: String
    package let subprotocol: String? = nil
    package let opcode = Opcode.text
    package let isAcknowledged = true
    /// A digit that is in every payload.
    package let acknowledgement = Array("0".utf8)

    /// - Parameter target: the path, such as `/echo`.
    package init(target: String) { self.target = target }

    package func greeting(isSubscriber: Bool, number: Int) -> [[UInt8]] { [] }
    package func readyMark(isSubscriber: Bool) -> [UInt8]? { nil }
    package func publication(_ payload: [UInt8]) -> [UInt8] { payload }
    package func read(_ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Void) -> Int { bytes.count }
}
