package import WSTransport

/// A wire format of messages: encodes the bytes that its clients are sent for a message.
///
/// A format is a conformer and its registration (``Shard/register(_:of:)``). Runs on its reactor's thread.
package protocol WireForm: AnyObject {
    /// Encodes a live message, once for all clients of this format; `nil` if they are not sent it.
    ///
    /// - Parameter lane: the lane that its bytes belong to (``Reactor/encode(lane:_:)``).
    func encode(_ message: Message, into reactor: Reactor, lane: Lane) -> Segment?
}

/// Identifies one ``WireForm`` of a reactor; the bytes of a lane are contiguous in a turn's memory.
package struct Lane: Hashable, Sendable {
    /// The reactor's number for it, above 0.
    package let number: UInt8

    /// How many lanes a shard may have.
    static let maximum = 63
}
