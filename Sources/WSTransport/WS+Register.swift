internal import Synchronization

/// Sockets that keep the process, as far as it waits for them.
extension WS {
    private struct Register {
        var sockets: [ObjectIdentifier: WebSocket] = [:]
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    private static let register = Mutex(Register())

    /// Waits until every socket that was ``WebSocket/ref()``-ed has ended or was ``WebSocket/unref()``-ed.
    ///
    /// For the last line of a program that has nothing to do but to listen.
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
        // Let go of outside the lock: it may have been the last reference.
        _ = forgotten
    }
}

extension WebSocket {
    /// Has ``WS/waitForAll()`` wait for this socket; it is kept until it has ended.
    @discardableResult
    public func ref() -> WebSocket {
        WS.remember(self)
        if readyState == .closed { WS.forget(self) }
        return self
    }

    /// Takes ``ref()`` back.
    @discardableResult
    public func unref() -> WebSocket {
        WS.forget(self)
        return self
    }
}
