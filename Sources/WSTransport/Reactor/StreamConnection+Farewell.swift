extension StreamConnection {
    /// Runs `body` as well when the connection is gone.
    func onEnd(_ body: @escaping () -> Void) {
        let before = onClosed
        onClosed = {
            before?()
            body()
        }
    }
}
