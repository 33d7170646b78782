/// `clients`: lists the connected clients.
package struct ClientsRequest: AdminRequest {
    package typealias Answer = AdminList<ClientSummary>
    package static let verb = "clients"
    package static let right = AdminRight.read

    /// Only clients of this user; `nil` for all clients, including those without a user.
    package var user: String?
    /// Only clients with a subscription that overlaps this filter; `nil` for all.
    package var filter: String?
    /// Only clients that meet all of these conditions, each a ``ClientCondition``.
    package var conditions: [String] = []
    /// The name of the ``ClientField`` to sort by, larger values first; `nil` for no order.
    package var order: String?
    /// Whether the order is reversed.
    package var isReversed = false
    /// The maximum number of clients; `nil` for all.
    package var limit: Int?
    /// The broker of a cluster whose clients are listed, by name or number; `nil` for all brokers.
    package var node: String?

    package init(user: String? = nil, filter: String? = nil) {
        self.user = user
        self.filter = filter
    }

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        user = try object.string("user")
        filter = try object.string("filter")
        conditions = try object.strings("where") ?? []
        order = try object.string("sort")
        isReversed = try object.bool("reverse") ?? false
        limit = try object.integer("limit")
        node = try object.string("node")
    }

    package func write(to writer: inout JSONWriter) {
        if let user { writer.member("user", user) }
        if let filter { writer.member("filter", filter) }
        if !conditions.isEmpty { writer.member("where", conditions) }
        if let order { writer.member("sort", order) }
        if isReversed { writer.member("reverse", true) }
        if let limit { writer.member("limit", limit) }
        if let node { writer.member("node", node) }
    }
}

/// `client`: shows one client, with its filters.
package struct ClientRequest: AdminRequest {
    package typealias Answer = ClientSummary
    package static let verb = "client"
    package static let right = AdminRight.read

    /// The client's id.
    package var client: String
    /// The broker of a cluster to ask, by name or number; `nil` for the one that has the client.
    package var node: String?

    package init(client: String) { self.client = client }

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        client = try object.string("client") ?? ""
        node = try object.string("node")
    }

    package func write(to writer: inout JSONWriter) {
        writer.member("client", client)
        if let node { writer.member("node", node) }
    }
}

/// What the broker knows about one client.
package struct ClientSummary: AdminObject {
    package var id = ""
    /// The broker that has the client; `nil` if it is in no cluster.
    package var node: String?
    /// The user; `nil` if the client has not authenticated.
    package var user: String?
    package var address = ""
    package var protocolName = ""
    /// The origin of the client's web page; `nil` if it is not a web page.
    package var origin: String?
    /// The `User-Agent`; `nil` if the client has sent none.
    package var agent: String?
    /// How many publications of the client were accepted.
    package var published = 0
    /// When it connected, in Unix milliseconds.
    package var connectedAt: Int64?
    /// How many filters it subscribes to.
    package var subscriptions = 0
    /// Unsent bytes in the broker.
    package var pendingBytes = 0
    /// How long the oldest unsent byte has waited, in milliseconds; `nil` if there is none.
    package var waitingMilliseconds: Double?
    /// Whether messages for the client wait outside its connection.
    package var isBehind = false
    /// What happens to messages that the client is too slow for, such as `close`; `nil` if it has no subscriptions.
    package var policy: String?
    /// Bytes that the connection has received, and bytes that its peer has acknowledged, TLS included; `nil` if it is
    /// not a TCP connection.
    package var receivedBytes: Int?
    package var sentBytes: Int?
    /// The listener's address, as configured.
    package var listener = ""
    /// The TLS version; `nil` without TLS.
    package var tls: String?
    /// The number of the reactor that serves it.
    package var reactor = 0
    /// Unsent bytes in the kernel.
    package var kernelBytes = 0
    /// Round-trip time of the last PING, in milliseconds; `nil` if none was answered yet.
    package var roundTripMilliseconds: Double?
    /// The client's filters; `nil` if they were not requested.
    package var filters: [String]?

    package init() {}

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        id = try object.string("id") ?? ""
        node = try object.string("node")
        user = try object.string("user")
        address = try object.string("address") ?? ""
        protocolName = try object.string("protocol") ?? ""
        origin = try object.string("origin")
        agent = try object.string("agent")
        published = try object.integer("published") ?? 0
        connectedAt = try object.integer("connectedAt")
        subscriptions = try object.integer("subscriptions") ?? 0
        pendingBytes = try object.integer("pendingBytes") ?? 0
        kernelBytes = try object.integer("kernelBytes") ?? 0
        waitingMilliseconds = try object.double("waitingMilliseconds")
        isBehind = try object.bool("behind") ?? false
        policy = try object.string("policy")
        receivedBytes = try object.integer("receivedBytes")
        sentBytes = try object.integer("sentBytes")
        listener = try object.string("listener") ?? ""
        tls = try object.string("tls")
        reactor = try object.integer("reactor") ?? 0
        roundTripMilliseconds = try object.double("roundTripMilliseconds")
        filters = try object.strings("filters")
    }

    package func write(to writer: inout JSONWriter) {
        writer.member("id", id)
        if let node { writer.member("node", node) }
        writer.name("user")
        if let user { writer.string(user) } else { writer.null() }
        writer.member("address", address)
        writer.member("protocol", protocolName)
        if let origin { writer.member("origin", origin) }
        if let agent { writer.member("agent", agent) }
        writer.member("published", published)
        writer.name("connectedAt")
        if let connectedAt { writer.integer(connectedAt) } else { writer.null() }
        writer.member("subscriptions", subscriptions)
        writer.member("pendingBytes", pendingBytes)
        writer.member("kernelBytes", kernelBytes)
        writer.name("roundTripMilliseconds")
        if let roundTripMilliseconds { writer.double(roundTripMilliseconds) } else { writer.null() }
        if let waitingMilliseconds { writer.member("waitingMilliseconds", waitingMilliseconds) }
        writer.member("behind", isBehind)
        if let policy { writer.member("policy", policy) }
        if let receivedBytes { writer.member("receivedBytes", receivedBytes) }
        if let sentBytes { writer.member("sentBytes", sentBytes) }
        writer.member("listener", listener)
        if let tls { writer.member("tls", tls) }
        writer.member("reactor", reactor)
        if let filters { writer.member("filters", filters) }
    }
}
