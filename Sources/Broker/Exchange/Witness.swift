package import WSTransport

/// Is told of refusals, for the audit log.
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

    /// Somebody who is shut out was turned away.
    ///
    /// - Parameter peer: where from; `nil`: it is not known.
    func shutOut(_ ban: Ban, _ peer: SocketAddress?)

    /// A client was refused something because a limit is reached.
    ///
    /// - Parameter limit: the setting's path.
    func limited(_ client: Client, by limit: String)
}

/// What a client was denied.
package enum DeniedAct: String, Sendable {
    case publish
    /// Reading, too.
    case subscribe
    case retain
}
