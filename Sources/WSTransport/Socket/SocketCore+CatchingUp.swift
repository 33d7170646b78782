internal import Synchronization

/// The end of a socket whose peer has closed or violated the protocol takes effect after earlier messages have been
/// handled.
extension SocketCore {
    /// Whether the reactor must be notified when all received messages have been handled; `false` if they have been.
    func awaitsCatchingUp() -> Bool {
        state.withLock { state in
            state.isEnding = !state.isCaughtUp
            return state.isEnding
        }
    }

    /// Whether no more answers are to be expected; asked regularly after the peer has closed.
    ///
    /// `true` if every received message has been taken, something has been sent since, and the user has not requested
    /// another message (a client that has read the awaited message usually sends no answer). Also `true` if nothing has
    /// ever been read, and a server's closure has returned or keeps sending, or a task waits for the end.
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

    /// Notifies the reactor, once, if it waits for that.
    func noticeCatchingUp() {
        let isDue = state.withLock { state in
            guard state.isEnding, state.isCaughtUp else { return false }
            state.isEnding = false
            return true
        }
        if isDue { run { $0?.caughtUp() } }
    }
}

extension SocketCore.State {
    /// Whether all received messages have been handled.
    var isCaughtUp: Bool { !hasHappenings && !isTelling && !hasUntaken && !isReading }

    /// Whether there is something for readers.
    var hasUntaken: Bool { hasMessages || hasParts }

    /// Whether `isSo` is true and was true last time.
    fileprivate mutating func isAskedAgain(_ isSo: Bool) -> Bool {
        defer { wasSo = isSo }
        return wasSo && isSo
    }
}
