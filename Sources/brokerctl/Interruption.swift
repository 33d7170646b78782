internal import CLinux
internal import Glibc
internal import Synchronization

/// SIGINT: the first asks the program to finish, the second ends it at once.
enum Interruption {
    private static let count = Atomic<Int>(0)

    /// Counts the signal from now on; returns whether it has arrived.
    static func watch() -> @Sendable () -> Bool {
        // Create it before the handler needs it: its initializer may not run in a signal handler.
        _ = count.load(ordering: .relaxed)
        _ = signal(SIGINT) { _ in
            if Interruption.count.wrappingAdd(1, ordering: .relaxed).oldValue > 0 { _exit(130) }
        }
        return { count.load(ordering: .relaxed) > 0 }
    }
}
