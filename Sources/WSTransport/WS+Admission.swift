extension WS {
    /// A handler that makes WebSockets of requests.
    ///
    /// - Parameter admit: decides before the 101, on the connection's reactor; a refusal it throws is the answer.
    package static func upgrade(
        _ admit: @escaping @Sendable (HTTPExchange, Handshake.Request) throws(HTTPRefusal) -> Admission
    ) -> any DirectHandler {
        UpgradeHandler(admit: admit)
    }
}
