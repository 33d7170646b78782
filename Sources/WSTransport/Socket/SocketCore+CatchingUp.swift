internal import Synchronization

/// The peer has closed, or broken the protocol: its end takes effect when what came before has been handled.
extension SocketCore {
    /// Whether the reactor is to be told when everything that came has been handled; `false` if it already has been.
    func awaitsCatchingUp() -> Bool {
        state.withLock { state in
            state.isEnding = !state.isCaughtUp
            return state.isEnding
        }
    }

    /// Whether nothing more will be answered, as far as can be told: asked now and then, after the peer has closed.
    ///
    /// That is where everything that came has been taken and answered by something, and the user has not come back for
    /// more; a client that has read what it waited for answers nothing, as a rule. It is also where nobody has ever
    /// read, and a server's closure has returned or goes on sending, or somebody waits for the end.
    func onlySends() -> Bool {
        state.withLock { state in
            guard !state.hasHappenings else { return false }
            if !state.hasUntaken { return state.hasAnswered || isClient && !state.isTelling }
            guard !state.hasRead, !state.isTelling else { return false }
            defer { state.hasAnswered = false }
            let onlyWaits = !state.endWaiters.isEmpty || !isClient && state.task == nil
            return state.isAskedAgain(state.hasAnswered || onlyWaits)
        }
    }

    /// Tells the reactor, once, if it waits for that.
    func noticeCatchingUp() {
        let isDue = state.withLock { state in
            guard state.isEnding, state.isCaughtUp else { return false }
            state.isEnding = false
            return true
        }
        if isDue { link.run(with: SocketSession.self) { $0?.caughtUp() } }
    }
}

extension SocketCore.State {
    /// Whether everything that came has been handled.
    var isCaughtUp: Bool { !hasHappenings && !isTelling && !hasUntaken && !isReading }

    /// Whether there is something for readers.
    var hasUntaken: Bool { !messages.isEmpty || !incoming.items.isEmpty }

    /// Whether `isSo` was true the last time, too.
    fileprivate mutating func isAskedAgain(_ isSo: Bool) -> Bool {
        defer { wasSo = isSo }
        return wasSo && isSo
    }
}
