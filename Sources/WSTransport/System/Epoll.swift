package import CLinux
internal import Glibc

/// The kernel's list of descriptors to watch.
///
/// The corresponding C functions are `epoll_*`.
package struct Epoll: ~Copyable {
    /// What a descriptor is watched for, or became ready for.
    package struct Events: OptionSet, Sendable {
        package let rawValue: UInt32
        package init(rawValue: UInt32) { self.rawValue = rawValue }
        package static let readable = Events(rawValue: EPOLLIN.rawValue)
        package static let writable = Events(rawValue: EPOLLOUT.rawValue)
        package static let hangUp = Events(rawValue: EPOLLHUP.rawValue)
        package static let failed = Events(rawValue: EPOLLERR.rawValue)
        /// Wakes one of several threads that watch the same descriptor.
        package static let exclusive = Events(rawValue: EPOLLEXCLUSIVE.rawValue)
    }

    private let descriptor: FileDescriptor

    package init() throws(Errno) {
        descriptor = FileDescriptor(adopting: try valueOrErrno { epoll_create1(Int32(EPOLL_CLOEXEC)) })
    }

    /// Starts watching `watched`; `token` is returned with each event.
    package func add(_ watched: Int32, for events: Events, token: UInt64) throws(Errno) {
        try control(EPOLL_CTL_ADD, watched, events, token)
    }

    /// Changes the events for which `watched` is watched.
    package func modify(_ watched: Int32, for events: Events, token: UInt64) throws(Errno) {
        try control(EPOLL_CTL_MOD, watched, events, token)
    }

    /// Stops watching `watched`.
    package func remove(_ watched: Int32) throws(Errno) {
        try control(EPOLL_CTL_DEL, watched, [], 0)
    }

    private func control(_ operation: Int32, _ watched: Int32, _ events: Events, _ token: UInt64) throws(Errno) {
        var event = unsafe epoll_event(events: events.rawValue, data: epoll_data_t(u64: token))
        _ = try valueOrErrno { unsafe epoll_ctl(descriptor.rawValue, operation, watched, &event) }
    }

    /// Waits up to `milliseconds` (negative: without limit) and returns how many of `events` were filled; 0 also when
    /// interrupted.
    package func wait(_ events: UnsafeMutableBufferPointer<epoll_event>, milliseconds: Int32) throws(Errno) -> Int {
        let count = unsafe epoll_wait(
            descriptor.rawValue, events.baseAddress, Int32(clamping: events.count), milliseconds)
        if count >= 0 { return Int(count) }
        let error = Errno.current
        if error == .interrupted { return 0 }
        throw error
    }
}

/// A counter that wakes an epoll loop from any thread.
///
/// The corresponding C function is `eventfd`.
package struct WakeupDescriptor: ~Copyable, Sendable {
    package let rawValue: Int32

    package init() throws(Errno) {
        rawValue = try valueOrErrno { eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)) }
    }

    deinit { _ = Glibc.close(rawValue) }

    /// Makes the descriptor readable.
    ///
    /// Any thread.
    package func signal() {
        // A full counter is already readable, so a refused write loses nothing.
        _ = eventfd_write(rawValue, 1)
    }

    /// Makes the descriptor unreadable again.
    package func clear() {
        var value: eventfd_t = 0
        unsafe _ = eventfd_read(rawValue, &value)
    }
}
