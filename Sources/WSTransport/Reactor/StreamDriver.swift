/// What speaks a protocol over a ``StreamConnection``.
///
/// Every call comes on the reactor's thread.
package protocol StreamDriver: AnyObject {
    /// Takes bytes that came, and says how many of them; the rest comes again with what follows.
    ///
    /// The bytes may be changed in place and are valid during the call only.
    func received(_ bytes: UnsafeMutableRawBufferPointer) -> Int

    /// The peer will send nothing more.
    func receivedEnd()

    /// The deadline set with ``StreamConnection/setDeadline(_:)`` has passed.
    func deadlinePassed()

    /// The socket took less than it was given, after it had taken everything before.
    ///
    /// ``drained()`` follows when it has caught up, ``overflowed()`` when more is added than may wait; neither where it ends first.
    func fellBehind()

    /// Everything unsent has been sent, after there had been a backlog.
    func drained()

    /// More is unsent than ``StreamConnection/maximumUnsent`` allows.
    func overflowed()

    /// The connection is gone; nothing more is called.
    func closed()

    /// Whether nothing is under way, so that a server that stops may end the connection.
    var isIdle: Bool { get }

    /// What it keeps of what it has taken, as the beginning of a message, in bytes of memory.
    var heldBytes: Int { get }
}

extension StreamDriver {
    package var isIdle: Bool { false }
    package var heldBytes: Int { 0 }
}
