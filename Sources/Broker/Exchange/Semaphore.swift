internal import CLinux
internal import Glibc
internal import WSTransport

/// A semaphore.
///
/// The corresponding C type is `sem_t`.
@safe final class Semaphore: Sendable {
    /// Set once in `init`; the semaphore must not move, and may be used from any thread.
    nonisolated(unsafe) private let semaphore: UnsafeMutablePointer<sem_t>

    init() {
        unsafe semaphore = .allocate(capacity: 1)
        unsafe sem_init(semaphore, 0, 0)
    }

    deinit {
        unsafe sem_destroy(semaphore)
        unsafe semaphore.deallocate()
    }

    func signal() { unsafe sem_post(semaphore) }

    /// Waits for a signal.
    func wait() { while unsafe sem_wait(semaphore) != 0 {} }

    /// Waits for a signal, until `deadline` at most.
    func wait(until deadline: MonotonicTime) {
        var time = timespec(
            tv_sec: Int(deadline.nanoseconds / 1_000_000_000), tv_nsec: Int(deadline.nanoseconds % 1_000_000_000))
        while unsafe sem_clockwait(semaphore, CLOCK_MONOTONIC, &time) != 0 {
            if errno == ETIMEDOUT { return }
        }
    }
}
