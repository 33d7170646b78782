internal import Synchronization

/// The sockets that ``WS/waitForAll()`` waits for.
extension WS {
    private struct Register {
        /// By their cores.
        var sockets: [ObjectIdentifier: WebSocket] = [:]
        var waiters: [(number: UInt64, continuation: Waiter)] = []
        var last: UInt64 = 0
    }

    private typealias Waiter = CheckedContinuation<Void, any Swift.Error>

    private static let register = Mutex(Register())

    /// Waits until every socket that was passed to ``WebSocket/ref()`` has ended or was passed to
    /// ``WebSocket/unref()``.
    ///
    /// Intended for the last line of a program that only listens. Throws if the task is cancelled first.
    public static func waitForAll() async throws(CancellationError) {
        let number = register.withLock { register in
            register.last += 1
            return register.last
        }
        do {
            try await withTaskCancellationHandler {
                try await withCheckedThrowingContinuation { (waiter: Waiter) in
                    let result = register.withLock { register -> Result<Void, any Swift.Error>? in
                        if register.sockets.isEmpty { return .success(()) }
                        if Task.isCancelled { return .failure(CancellationError()) }
                        register.waiters.append((number, waiter))
                        return nil
                    }
                    if let result { waiter.resume(with: result) }
                }
            } onCancel: {
                let waiter = register.withLock { register -> Waiter? in
                    guard let index = register.waiters.firstIndex(where: { $0.number == number }) else { return nil }
                    return register.waiters.remove(at: index).continuation
                }
                waiter?.resume(throwing: CancellationError())
            }
        } catch {
            throw CancellationError()
        }
    }

    static func remember(_ socket: WebSocket) {
        register.withLock { $0.sockets[ObjectIdentifier(socket.core)] = socket }
    }

    static func forget(_ core: SocketCore) {
        let (waiters, forgotten) = register.withLock {
            register -> ([Waiter], WebSocket?) in
            let forgotten = register.sockets.removeValue(forKey: ObjectIdentifier(core))
            guard register.sockets.isEmpty else { return ([], forgotten) }
            defer { register.waiters = [] }
            return (register.waiters.map(\.continuation), forgotten)
        }
        for waiter in waiters { waiter.resume() }
        // Released outside the lock: it may be the last reference.
        _ = forgotten
    }
}

extension WebSocket {
    /// Makes ``WS/waitForAll()`` wait for this socket, which is retained until it has ended.
    @discardableResult
    public func ref() -> WebSocket {
        WS.remember(self)
        if readyState == .closed { WS.forget(core) }
        return self
    }

    /// Undoes ``ref()``.
    @discardableResult
    public func unref() -> WebSocket {
        WS.forget(core)
        return self
    }
}
