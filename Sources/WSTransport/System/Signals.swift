internal import CLinux
internal import Glibc

/// Takes signals one at a time on one thread, without handlers.
package struct SignalSet: ~Copyable {
    /// A signal that the program handles.
    package enum Signal: Sendable { case terminate, interrupt, hangUp }

    private var set = sigset_t()

    /// Blocks SIGTERM, SIGINT and SIGHUP for ``wait()``, and ignores SIGPIPE, SIGUSR1 and SIGUSR2.
    ///
    /// Other brokers take SIGUSR1 and SIGUSR2 for commands, and scripts written for them must not end this one.
    ///
    /// Threads inherit this, so call it before starting the first of them.
    package init() {
        for ignored in [SIGPIPE, SIGUSR1, SIGUSR2] { _ = signal(ignored, SIG_IGN) }
        unsafe _ = sigemptyset(&set)
        unsafe _ = sigaddset(&set, SIGTERM)
        unsafe _ = sigaddset(&set, SIGINT)
        unsafe _ = sigaddset(&set, SIGHUP)
        unsafe _ = pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    /// Waits for the next signal; `nil` if none arrives for `seconds`, of which `nil` means no limit.
    ///
    /// The corresponding C function is `sigtimedwait`.
    package mutating func wait(seconds: Int? = nil) -> Signal? {
        while true {
            var patience = timespec(tv_sec: seconds ?? 3600, tv_nsec: 0)
            switch unsafe sigtimedwait(&set, nil, &patience) {
            case SIGTERM: return .terminate
            case SIGINT: return .interrupt
            case SIGHUP: return .hangUp
            case -1 where errno == EAGAIN && seconds != nil: return nil
            default: continue
            }
        }
    }
}
