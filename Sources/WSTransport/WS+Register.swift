internal import Synchronization

/// The sockets that ``WS/waitForAll()`` waits for.
extension WS {
    private struct Register {
        var sockets: [ObjectIdentifier: WebSocket] = [:]
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    private static let register = Mutex(Register())

    /// Waits until every socket that was ``WebSocket/ref()``-ed has ended or was ``WebSocket/unref()``-ed.
    ///
    /// For the last line of a program that only listens.
    public static func waitForAll() async {
        await withCheckedContinuation { continuation in
            let isEmpty = register.withLock { register in
                if !register.sockets.isEmpty { register.waiters.append(continuation) }
                return register.sockets.isEmpty
            }
            if isEmpty { continuation.resume() }
        }
    }

    static func remember(_ socket: WebSocket) {
        register.withLock { $0.sockets[ObjectIdentifier(socket)] = socket }
    }

    static func forget(_ socket: WebSocket) {
        let (waiters, forgotten) = register.withLock {
            register -> ([CheckedContinuation<Void, Never>], WebSocket?) in
            let forgotten = register.sockets.removeValue(forKey: ObjectIdentifier(socket))
            guard register.sockets.isEmpty else { return ([], forgotten) }
            defer { register.waiters = [] }
            return (register.waiters, forgotten)
        }
        for waiter in waiters { waiter.resume() }
        // Released outside the lock: it may be the last reference.
        _ = forgotten
    }
}

extension WebSocket {
    /// Makes ``WS/waitForAll()`` wait for this socket, which is kept alive until it has ended.
    @discardableResult
    public func ref() -> WebSocket {
        WS.remember(self)
        if readyState == .closed { WS.forget(self) }
        return self
    }

    /// Undoes ``ref()``.
    @discardableResult
    public func unref() -> WebSocket {
        WS.forget(self)
        return self
    }
}
