internal import CLinux
internal import Glibc
internal import Synchronization

/// What SIGINT asks for: the first time to come to an end, the second time to end at once.
enum Interruption {
    private static let count = Atomic<Int>(0)

    /// From now on the signal is counted; the answer says whether it has come.
    static func watch() -> @Sendable () -> Bool {
        // Made before the handler needs it: what makes it may not run in a handler.
        _ = count.load(ordering: .relaxed)
        _ = signal(SIGINT) { _ in
            if Interruption.count.wrappingAdd(1, ordering: .relaxed).oldValue > 0 { _exit(130) }
        }
        return { count.load(ordering: .relaxed) > 0 }
    }
}
