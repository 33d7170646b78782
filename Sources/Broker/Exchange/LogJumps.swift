/// Where the numbers of a log have jumped, because another process of its engine went on with it.
///
/// No message has a number between the last one before a jump and the first one after it. A client that knows such a number
/// was shown what is in no log any more. A value.
package struct LogJumps: Equatable, Sendable {
    /// One jump.
    package struct Jump: Equatable, Sendable {
        /// The last number before it.
        package let closed: UInt64
        /// The number at which the log goes on.
        package let begun: UInt64

        package init(closed: UInt64, begun: UInt64) { (self.closed, self.begun) = (closed, begun) }
    }

    /// How many are remembered: the oldest are forgotten.
    package static let maximum = 64

    /// In order.
    package private(set) var all: [Jump] = []

    package init() {}

    package mutating func add(_ jump: Jump) {
        all.append(jump)
        if all.count > Self.maximum { all.removeFirst() }
    }

    /// The jump that a number lies in; `nil`: in none.
    package func jump(over seq: UInt64) -> Jump? {
        guard let jump = all.last(where: { $0.closed < seq }), seq < jump.begun else { return nil }
        return jump
    }
}
