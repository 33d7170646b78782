/// The module's constructors by their own names: `ws.Message`, `ws.Handler`, `ws.Socket`.
extension WS {
    /// One message, independent of any connection.
    public typealias Message = WebSocketMessage
    /// A server that answers each message by another.
    public typealias Handler = WebSocketHandler
    /// A WebSocket, either role.
    public typealias Socket = WebSocket
}
