package import WSTransport

/// Is told of clients that join and leave, and of refusals: for the audit log and the stream of events.
///
/// Called on the reactor's thread.
package protocol Witness: AnyObject {
    /// A client was refused something for lack of a right.
    ///
    /// - Parameters:
    ///   - name: the topic or filter.
    ///   - rule: the filter of the rule that denies it; `nil` if no rule allows it.
    func denied(_ act: DeniedAct, _ name: String, to client: Client, by rule: TopicFilter?)

    /// A client's subscription has ended because the right to it was withdrawn.
    func revoked(_ filter: TopicFilter, of client: Client)

    /// A client was disconnected because its credentials are no longer valid.
    func ended(_ client: Client)

    /// Credentials were examined.
    ///
    /// - Parameter peer: the address that showed them; `nil` if it is not known.
    func examined(
        _ credentials: Credentials, _ outcome: Result<Principal, AuthenticationFailure>, from peer: SocketAddress?)

    /// A request without a client was refused because a limit is reached.
    ///
    /// - Parameter limit: the path of the setting.
    func limited(_ peer: SocketAddress?, by limit: String)

    /// A banned client was refused.
    ///
    /// - Parameter peer: its address; `nil` if it is not known.
    func shutOut(_ ban: Ban, _ peer: SocketAddress?)

    /// A client was refused something because a limit is reached.
    ///
    /// - Parameter limit: the path of the setting.
    func limited(_ client: Client, by limit: String)

    /// A client has joined: it has a session.
    func joined(_ client: Client)

    /// A client's session has ended.
    func left(_ client: Client, _ end: ClientEnd)

    /// A client has not taken what it was sent, so its messages now wait.
    ///
    /// - Parameter unsent: the bytes that its connection has not taken.
    func fellBehind(_ client: Client, unsent: Int)

    /// A client was told that messages of one of its subscriptions were not delivered and will not be.
    func missed(_ gap: Gap, of filter: TopicFilter, _ client: Client)
}

/// How a client's session has ended.
package struct ClientEnd: Sendable, Equatable {
    /// The code of its CLOSE frame; `nil` if it was not a WebSocket.
    package var code: Int?
    /// The reason, as the CLOSE frame gives it; empty if not known.
    package var reason: String
    /// Whether it was dead: its connection acknowledged nothing.
    package var isDead: Bool
    /// The bytes that its connection has received, and those that its TCP has acknowledged; `nil` if not known.
    package var receivedBytes: Int?
    package var sentBytes: Int?

    package init(code: Int? = nil, reason: String = "", isDead: Bool = false) {
        self.code = code
        self.reason = reason
        self.isDead = isDead
    }

    /// The same, with the traffic of a connection.
    package func with(_ traffic: (received: Int, sent: Int)?) -> Self {
        var end = self
        (end.receivedBytes, end.sentBytes) = (traffic?.received, traffic?.sent)
        return end
    }
}

/// The kinds of acts that a client can be denied.
package enum DeniedAct: String, Sendable {
    case publish
    /// Reading, too.
    case subscribe
    case retain
}
