/// What fan-out knows of one subscription: the tree's entry.
///
/// It is small, as a message looks at one for each that it is sent to.
package struct Subscriber: TreeEntry {
    package let subscription: UInt32
    /// Where it is sent messages: the slot of its connection in the reactor's tables; where it asks for its session, that
    /// session's number.
    let place: UInt32
    /// The number of its lane and its flags, for fan-out to compare in one step.
    let kind: UInt8

    /// For messages that go to a connection in a lane.
    package init(subscription: UInt32, slot: UInt32, lane: Lane, skipsOwn: Bool) {
        self.subscription = subscription
        place = slot
        kind = lane.number | (skipsOwn ? Self.skipsOwnFlag : 0)
    }

    /// For messages that the session takes itself, by ``Session/deliver(_:for:)``.
    package init(subscription: UInt32, askingSession session: UInt32, skipsOwn: Bool) {
        self.subscription = subscription
        place = session
        kind = Self.asksSessionFlag | (skipsOwn ? Self.skipsOwnFlag : 0)
    }

    static var skipsOwnFlag: UInt8 { 0x80 }
    static var asksSessionFlag: UInt8 { 0x40 }

    /// The kind without whether it skips its own.
    var road: UInt8 { kind & ~Self.skipsOwnFlag }

    /// Does not get what its own client published.
    package var skipsOwn: Bool { kind & Self.skipsOwnFlag != 0 }

    /// Its session takes each message itself.
    var asksSession: Bool { kind & Self.asksSessionFlag != 0 }
}
