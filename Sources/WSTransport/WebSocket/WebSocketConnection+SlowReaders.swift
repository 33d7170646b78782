extension WebSocketConnection {
    package func fellBehind() {
        scheduleKeepalive()
        session?.fellBehind()
    }

    package func drained() {
        hasOnlyFrames = true
        stream.resumeReading(for: .unsent)
        scheduleKeepalive()
        session?.drained()
    }

    package func overflowed() {
        closeSlowReader("more than \(options.values.maximumUnsent) bytes unsent")
    }

    /// Closes the connection of a peer that takes too little: the CLOSE follows the frame that was begun, the rest is
    /// dropped.
    package func closeSlowReader(_ reason: String) {
        if readyState == .open, !isClient { stream.reactor.counters.slowReaders.add(1) }
        closeEmpty(.tryAgainLater, reason: reason)
    }

    /// Closes it with a CLOSE, and drops everything that it holds.
    package func closeEmpty(_ code: CloseCode, reason: String) {
        // Only a server's frames, which are not masked, can be told apart once they are encoded.
        guard readyState == .open, !isClient else { return stream.reset() }
        stream.maximumUnsent = .max
        // Before that the answer to the handshake would be dropped.
        if hasOnlyFrames { unsafe stream.dropUnsent { unsafe frameCount($0) } }
        close(code, reason: reason)
        // The session ends now; the closing handshake may take its time.
        report(CloseEvent(code: code, reason: reason, wasClean: false))
    }
}
