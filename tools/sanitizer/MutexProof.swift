// Proves that the sanitizer can be trusted: threads that meet at a Mutex are no race, threads without one are.
//
//   MutexProof mutex      must not be reported
//   MutexProof race       must be reported

import Glibc
import Synchronization

final class Counters: Sendable {
    let guarded = Mutex(0)
    nonisolated(unsafe) let bare = UnsafeMutablePointer<Int>.allocate(capacity: 1)
}

@main
struct MutexProof {
    static func main() {
        let counters = Counters()
        counters.bare.pointee = 0
        let isGuarded = CommandLine.arguments.last == "mutex"
        var threads: [pthread_t] = []
        for _ in 0..<4 {
            var thread = pthread_t()
            let body: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? =
                isGuarded ? { count($0, guarded: true) } : { count($0, guarded: false) }
            pthread_create(&thread, nil, body, Unmanaged.passRetained(counters).toOpaque())
            threads.append(thread)
        }
        for thread in threads { pthread_join(thread, nil) }
    }
}

private func count(_ argument: UnsafeMutableRawPointer?, guarded: Bool) -> UnsafeMutableRawPointer? {
    guard let argument else { return nil }
    let counters = Unmanaged<Counters>.fromOpaque(argument).takeRetainedValue()
    // Long enough for the threads to meet.
    for _ in 0..<(guarded ? 50_000 : 5_000_000) {
        if guarded { counters.guarded.withLock { $0 += 1 } } else { counters.bare.pointee += 1 }
    }
    return nil
}
