package import WSTransport

/// A wire format of messages: the bytes that those who read it are sent for a message.
///
/// A format is a conformer and its registration (``FanOut/register(_:)``). Runs on its reactor's thread.
package protocol WireForm: AnyObject {
    /// Encodes a message that comes live, once for everybody of this format.
    ///
    /// - Parameter lane: where in the reactor's turn its bytes belong (``Reactor/encode(lane:_:)``).
    func encode(_ message: Message, into reactor: Reactor, lane: Lane) -> Segment
}

/// The place of one ``WireForm`` among those of its reactor: whose bytes lie one after the other in a turn's memory.
package struct Lane: Hashable, Sendable {
    /// The reactor's number for it, above 0.
    package let number: UInt8

    /// How many a shard may have.
    static let maximum = 63
}
