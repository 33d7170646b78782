/// Handles the protocol of a ``StreamConnection``.
///
/// All methods are called on the reactor's thread.
package protocol StreamDriver: AnyObject {
    /// Takes received bytes, and returns how many; the rest is passed again with the next ones.
    ///
    /// The bytes may be changed in place, and are valid only during the call.
    func received(_ bytes: UnsafeMutableRawBufferPointer) -> Int

    /// The peer will send nothing more.
    func receivedEnd()

    /// The deadline set with ``StreamConnection/setDeadline(_:)`` has passed.
    func deadlinePassed()

    /// The socket took less than it was given, after it had taken everything before.
    ///
    /// ``drained()`` follows when it has caught up, ``overflowed()`` if more is added than may wait; neither if the
    /// connection ends first.
    func fellBehind()

    /// Everything has been sent, after there had been a backlog.
    func drained()

    /// More is unsent than ``StreamConnection/maximumUnsent`` allows.
    func overflowed()

    /// It is not read any more, for whatever reasons, or is read again.
    func readingPaused()
    func readingResumed()

    /// The connection has ended; nothing more is called.
    func closed()

    /// Whether nothing is under way, so that a server that stops may close the connection.
    var isIdle: Bool { get }

    /// The memory of received bytes that it keeps, such as the beginning of a message, in bytes.
    var heldBytes: Int { get }
}

extension StreamDriver {
    package func readingPaused() {}
    package func readingResumed() {}
    package var isIdle: Bool { false }
    package var heldBytes: Int { 0 }
}
