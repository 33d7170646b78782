/// One subscription as fan-out sees it: the tree's entry.
///
/// It is small, because fan-out reads one for each delivery.
package struct Subscriber: TreeEntry {
    package let subscription: UInt32
    /// The slot of its connection in the reactor's tables; if fan-out asks the session, the session's number.
    let place: UInt32
    /// The number of its lane and its flags, combined so that fan-out compares them in one step.
    let kind: UInt8

    /// A subscription whose messages go to a connection in a lane.
    package init(subscription: UInt32, slot: UInt32, lane: Lane, skipsOwn: Bool) {
        self.subscription = subscription
        place = slot
        kind = lane.number | (skipsOwn ? Self.skipsOwnFlag : 0)
    }

    /// A subscription whose session takes messages itself, by ``Session/deliver(_:for:)``.
    package init(subscription: UInt32, askingSession session: UInt32, skipsOwn: Bool) {
        self.subscription = subscription
        place = session
        kind = Self.asksSessionFlag | (skipsOwn ? Self.skipsOwnFlag : 0)
    }

    static var skipsOwnFlag: UInt8 { 0x80 }
    static var asksSessionFlag: UInt8 { 0x40 }

    /// The kind without the flag for skipping own messages.
    var road: UInt8 { kind & ~Self.skipsOwnFlag }

    /// Whether it gets every matching message, in its lane.
    var isPlain: Bool { kind < Self.asksSessionFlag }

    /// Whether it skips its own client's publications.
    package var skipsOwn: Bool { kind & Self.skipsOwnFlag != 0 }

    /// Whether its session takes each message itself.
    var asksSession: Bool { kind & Self.asksSessionFlag != 0 }
}
