/// The tasks that call listeners on a reactor's thread; idle ones wait for the next events, because making a task costs
/// more than most listeners do.
///
/// Called on the reactor's thread.
final class Tellers: Sendable {
    /// A task that waits for a socket with events; `nil` ends it.
    @safe private struct Idle: Sendable {
        let continuation: UnsafeContinuation<WebSocket?, Never>
    }

    @exclusivity(unchecked) nonisolated(unsafe) private var idle: [Idle] = []

    /// How many tasks wait at most.
    private static let maximum = 4

    deinit { for task in unsafe idle { unsafe task.continuation.resume(returning: nil) } }

    /// Has a task call the listeners of `socket`.
    func tell(_ socket: WebSocket, on remote: Remote) {
        if let task = unsafe idle.popLast() { return unsafe task.continuation.resume(returning: socket) }
        Task(executorPreference: remote) { [weak self] in
            var next: WebSocket? = socket
            while next != nil {
                // Taken, so that it holds on to no socket while it waits.
                await next.take()?.tellListeners()
                next = await unsafe withUnsafeContinuation { continuation in
                    // The task is elsewhere when the reactor has ended.
                    guard remote.isCurrentThread, let self, unsafe self.keep(Idle(continuation: continuation)) else {
                        return unsafe continuation.resume(returning: nil)
                    }
                }
            }
        }
    }

    private func keep(_ task: Idle) -> Bool {
        guard unsafe idle.count < Self.maximum else { return false }
        unsafe idle.append(task)
        return true
    }
}

extension WebSocket {
    fileprivate nonisolated(nonsending) func tellListeners() async { await core.tellAll(of: self) }
}

extension Reactor {
    /// Made for the first socket whose listeners run on its thread.
    var tellers: Tellers {
        if let known = self[Tellers.self] { return known }
        let made = Tellers()
        self[Tellers.self] = made
        return made
    }
}
