/// The jumps in the numbers of a log, which occur when another process of its engine continues it.
///
/// No message has a number between the last one before a jump and the first one after it. A client that knows such a
/// number has received messages that are no longer in any log. A value.
package struct LogJumps: Equatable, Sendable {
    /// One jump.
    package struct Jump: Equatable, Sendable {
        /// The last number before it.
        package let closed: UInt64
        /// The number at which the log continues.
        package let begun: UInt64

        package init(closed: UInt64, begun: UInt64) { (self.closed, self.begun) = (closed, begun) }
    }

    /// How many jumps are remembered; the oldest are forgotten.
    package static let maximum = 64

    /// The jumps, in order.
    package private(set) var all: [Jump] = []

    package init() {}

    package mutating func add(_ jump: Jump) {
        all.append(jump)
        if all.count > Self.maximum { all.removeFirst() }
    }

    /// The jump that contains a number; `nil` if there is none.
    package func jump(over seq: UInt64) -> Jump? {
        guard let jump = all.last(where: { $0.closed < seq }), seq < jump.begun else { return nil }
        return jump
    }
}
