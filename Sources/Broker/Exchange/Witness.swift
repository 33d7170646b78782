package import WSTransport

/// Is told of clients that come and go, and of what they are refused: for the audit log and the stream of events.
///
/// Called on the reactor's thread.
package protocol Witness: AnyObject {
    /// A client was refused something for lack of a right.
    ///
    /// - Parameters:
    ///   - name: the topic or filter.
    ///   - rule: the filter that denies it; `nil`: nothing allows it.
    func denied(_ act: DeniedAct, _ name: String, to client: Client, by rule: TopicFilter?)

    /// A client's subscription has ended because the right to it was withdrawn.
    func revoked(_ filter: TopicFilter, of client: Client)

    /// A client's credentials do not hold any more, and the client has ended.
    func ended(_ client: Client)

    /// Credentials were examined.
    ///
    /// - Parameter peer: whose they are; `nil`: it is not known.
    func examined(
        _ credentials: Credentials, _ outcome: Result<Principal, AuthenticationFailure>, from peer: SocketAddress?)

    /// Somebody without a client was refused something because a limit is reached.
    ///
    /// - Parameter limit: the setting's path.
    func limited(_ peer: SocketAddress?, by limit: String)

    /// A banned client was turned away.
    ///
    /// - Parameter peer: where from; `nil`: it is not known.
    func shutOut(_ ban: Ban, _ peer: SocketAddress?)

    /// A client was refused something because a limit is reached.
    ///
    /// - Parameter limit: the setting's path.
    func limited(_ client: Client, by limit: String)

    /// A client is here: it has a session.
    func joined(_ client: Client)

    /// A client's session has ended.
    func left(_ client: Client, _ end: ClientEnd)

    /// A client has not taken what it was sent, and messages for it are put aside.
    ///
    /// - Parameter unsent: what its connection has not taken, in bytes.
    func fellBehind(_ client: Client, unsent: Int)

    /// A client was told that messages of one of its subscriptions were not delivered and will not be.
    func missed(_ gap: Gap, of filter: TopicFilter, _ client: Client)
}

/// How a client's session has ended.
package struct ClientEnd: Sendable, Equatable {
    /// The code of its CLOSE; `nil`: it was none of WebSocket.
    package var code: Int?
    /// Why, as the CLOSE says; empty: not known.
    package var reason: String
    /// Whether it gave no sign of life.
    package var isDead: Bool
    /// What its connection has received, and what its TCP has acknowledged, in bytes; `nil`: not known.
    package var receivedBytes: Int?
    package var sentBytes: Int?

    package init(code: Int? = nil, reason: String = "", isDead: Bool = false) {
        self.code = code
        self.reason = reason
        self.isDead = isDead
    }

    /// The same, with what a connection has carried.
    package func with(_ traffic: (received: Int, sent: Int)?) -> Self {
        var end = self
        (end.receivedBytes, end.sentBytes) = (traffic?.received, traffic?.sent)
        return end
    }
}

/// What a client was denied.
package enum DeniedAct: String, Sendable {
    case publish
    /// Reading, too.
    case subscribe
    case retain
}
