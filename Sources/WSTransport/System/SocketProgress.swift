internal import CLinux
internal import Glibc

/// What the kernel knows of the bytes that a TCP connection has been given.
struct SocketProgress {
    /// Bytes that the peer has acknowledged since the connection began.
    let acknowledged: UInt64
    /// How long ago the last acknowledgement came, of bytes or of a question whether there is room, in nanoseconds.
    let silence: Int64
    /// Whether something that was sent again, or asked, has had no answer yet.
    let isUnanswered: Bool

    /// Asks the kernel.
    ///
    /// The corresponding C function is `getsockopt` (`TCP_INFO`). `nil`: the socket is not one of TCP.
    init?(of descriptor: Int32) {
        var information = tcp_information()
        var length = socklen_t(MemoryLayout<tcp_information>.size)
        let code = unsafe getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_INFO, &information, &length)
        guard code == 0, Int(length) == MemoryLayout<tcp_information>.size else { return nil }
        acknowledged = information.bytes_acked
        silence = Int64(information.last_ack_recv) * 1_000_000
        // A peer without room acknowledges what is sent again, but takes nothing of it: what counts is which came last.
        let wasSentLast = information.last_ack_recv > information.last_data_sent
        let hadTime = information.last_data_sent >= 2 * information.rtt / 1000
        // The kernel counts a question when it has sent it; on a link without delay the answer may have come before that.
        isUnanswered = information.probes > 1 || information.retransmits > 0 && wasSentLast && hadTime
    }
}

extension Socket {
    /// Bytes given to the socket that its peer has not acknowledged, or, of a local one, not read.
    ///
    /// The corresponding C function is `ioctl` (`SIOCOUTQ`).
    static func unacknowledged(_ descriptor: Int32) -> Int {
        var count: Int32 = 0
        let code = unsafe ioctl(descriptor, UInt(TIOCOUTQ), &count)
        return code == 0 ? Int(count) : 0
    }

    /// Lets the kernel hold about so many bytes that it cannot send yet, and no more.
    ///
    /// The corresponding C function is `setsockopt` (`TCP_NOTSENT_LOWAT`).
    static func setUnsentLimit(_ descriptor: Int32, bytes: Int) {
        var value = Int32(clamping: bytes)
        let size = socklen_t(MemoryLayout<Int32>.size)
        unsafe _ = setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NOTSENT_LOWAT, &value, size)
    }
}
