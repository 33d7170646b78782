extension WS {
    /// A handler that makes WebSockets of requests.
    ///
    /// - Parameter admit: decides before the 101, on the connection's reactor; a refusal that it throws becomes the
    ///   answer.
    package static func upgrade(
        _ admit: @escaping @Sendable (HTTPExchange, Handshake.Request) throws(HTTPRefusal) -> Admission
    ) -> any DirectHandler {
        UpgradeHandler(admit: admit)
    }
}
