extension WebSocket {
    /// Starts to connect.
    ///
    /// Never throws: errors, also in the URL, are reported by an `error` and a `close` event.
    ///
    /// - Parameters:
    ///   - url: `ws://` or `wss://`, as RFC 6455 §3 has it.
    ///   - protocol: the subprotocol to offer; empty: none.
    ///   - origin: the value of `Origin`; empty: none is sent.
    public convenience init(_ url: String, protocol: String = "", origin: String = "") {
        var options = ConnectOptions()
        options.protocols = `protocol`.isEmpty ? [] : [`protocol`]
        options.origin = origin
        self.init(url, options: options)
    }

    /// Starts to connect.
    public convenience init(_ url: String, options: ConnectOptions) {
        self.init(
            url: url, origin: options.origin, offered: options.protocols.joined(separator: ", "),
            core: SocketCore(
                link: ReactorLink(remote: ClientReactor.remote), limits: options.limits, isClient: true, subprotocol: ""
            ))
        do throws(ConnectError) {
            core.connect(to: try WebSocketURL(checking: url), try options.client())
        } catch {
            core.failed(error)
        }
    }
}

extension WebSocketURL {
    init(checking text: String) throws(ConnectError) {
        do throws(ParseError) { try self.init(parsing: text) } catch { throw .invalidOption("\(text): \(error)") }
    }
}
