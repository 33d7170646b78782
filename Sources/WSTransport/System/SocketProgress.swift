internal import CLinux
internal import Glibc

/// The kernel's information about the bytes of a TCP connection.
struct SocketProgress {
    /// Bytes that the peer has acknowledged since the connection began.
    let acknowledged: UInt64
    /// Bytes that have been received since the connection began.
    let received: UInt64
    /// Nanoseconds since the last acknowledgement, of bytes or of a window probe.
    let silence: Int64
    /// Whether a retransmission or a probe has not been answered yet.
    let isUnanswered: Bool

    /// Asks the kernel; `nil` if it is not a TCP socket.
    ///
    /// The corresponding C function is `getsockopt` (`TCP_INFO`).
    init?(of descriptor: Int32) {
        var information = tcp_information()
        var length = socklen_t(MemoryLayout<tcp_information>.size)
        let code = unsafe getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_INFO, &information, &length)
        guard code == 0, Int(length) == MemoryLayout<tcp_information>.size else { return nil }
        acknowledged = information.bytes_acked
        received = information.bytes_received
        silence = Int64(information.last_ack_recv) * 1_000_000
        // A peer without room acknowledges a retransmission but takes no byte of it: the more recent of the two counts.
        let wasSentLast = information.last_ack_recv > information.last_data_sent
        let hadTime = information.last_data_sent >= 2 * information.rtt / 1000
        // The kernel counts a probe after sending it; on a link without delay the answer may arrive before that.
        isUnanswered = information.probes > 1 || information.retransmits > 0 && wasSentLast && hadTime
    }
}

extension Socket {
    /// Bytes given to the socket that its peer has not acknowledged, or, on a local socket, not read.
    ///
    /// The corresponding C function is `ioctl` (`SIOCOUTQ`).
    static func unacknowledged(_ descriptor: Int32) -> Int {
        var count: Int32 = 0
        let code = unsafe ioctl(descriptor, UInt(TIOCOUTQ), &count)
        return code == 0 ? Int(count) : 0
    }

    /// Limits the bytes that the kernel holds and cannot send yet to about this many.
    ///
    /// The corresponding C function is `setsockopt` (`TCP_NOTSENT_LOWAT`).
    static func setUnsentLimit(_ descriptor: Int32, bytes: Int) {
        var value = Int32(clamping: bytes)
        let size = socklen_t(MemoryLayout<Int32>.size)
        unsafe _ = setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NOTSENT_LOWAT, &value, size)
    }
}
