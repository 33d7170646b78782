package import WSTransport

/// A topic socket for each client, on its own topic with a retained value: clients that return after a broker's
/// restart.
package struct RetainedDialect: LoadDialect {
    package let target: String
    package let subprotocol: String? = nil
    package let opcode = Opcode.text

    /// - Parameter target: the path to which the clients' numbers are appended, such as `/t/storm`.
    package init(target: String) { self.target = target }

    /// The retained value of a client's topic.
    package static func value(_ number: Int) -> String { "value of client \(number)." }

    package func target(of number: Int) -> String { "\(target)/\(number)" }
    package func greeting(isSubscriber: Bool, number: Int) -> [[UInt8]] { [] }
    package func readyMark(isSubscriber: Bool) -> [UInt8]? { nil }
    package func readyMark(isSubscriber: Bool, number: Int) -> [UInt8]? { Array(Self.value(number).utf8) }
    package func publication(_ payload: [UInt8]) -> [UInt8] { payload }
    package func read(_ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Void) -> Int { bytes.count }
}
