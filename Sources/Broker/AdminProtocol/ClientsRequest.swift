/// `clients`: lists the connected clients.
package struct ClientsRequest: AdminRequest {
    package typealias Answer = AdminList<ClientSummary>
    package static let verb = "clients"
    package static let right = AdminRight.read

    /// Only clients of this user; `nil`: all clients, also those without a user.
    package var user: String?
    /// Only clients with a subscription that overlaps with this filter; `nil`: all.
    package var filter: String?
    /// Only clients for which all of these hold: each a ``ClientCondition``.
    package var conditions: [String] = []
    /// What they are sorted by, the name of a ``ClientField``: those with more first; `nil`: they are not.
    package var order: String?
    /// Whether the order is turned round.
    package var isReversed = false
    /// The most that are listed; `nil`: all.
    package var limit: Int?

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
    }

    package func write(to writer: inout JSONWriter) {
        if let user { writer.member("user", user) }
        if let filter { writer.member("filter", filter) }
        if !conditions.isEmpty { writer.member("where", conditions) }
        if let order { writer.member("sort", order) }
        if isReversed { writer.member("reverse", true) }
        if let limit { writer.member("limit", limit) }
    }
}

/// `client`: shows one client, with its filters.
package struct ClientRequest: AdminRequest {
    package typealias Answer = ClientSummary
    package static let verb = "client"
    package static let right = AdminRight.read

    /// The client's id.
    package var client: String

    package init(client: String) { self.client = client }
    package init(_ object: borrowing JSONObject) throws(JSONError) { client = try object.string("client") ?? "" }
    package func write(to writer: inout JSONWriter) { writer.member("client", client) }
}

/// What the broker knows about one client.
package struct ClientSummary: AdminObject {
    package var id = ""
    /// `nil`: it has not authenticated.
    package var user: String?
    package var address = ""
    package var protocolName = ""
    /// The origin of the web page that it is; `nil`: it is none.
    package var origin: String?
    /// Its program, the `User-Agent`; `nil`: it has not said it.
    package var agent: String?
    /// How many publications of it were taken.
    package var published = 0
    /// In Unix milliseconds.
    package var connectedAt: Int64?
    /// How many filters it subscribes to.
    package var subscriptions = 0
    /// Unsent bytes in the broker.
    package var pendingBytes = 0
    /// How long the oldest of them has waited, in milliseconds; `nil`: there are none.
    package var waitingMilliseconds: Double?
    /// Whether messages wait for it outside its connection.
    package var isBehind = false
    /// What happens to messages for which it is too slow, by its subscriptions, such as `close`; `nil`: it has none.
    package var policy: String?
    /// Bytes that its connection has received and that its peer has acknowledged, TLS included; `nil`: it is no TCP
    /// connection.
    package var receivedBytes: Int?
    package var sentBytes: Int?
    /// The listener's address, as it is configured.
    package var listener = ""
    /// Its version of TLS; `nil`: it has none.
    package var tls: String?
    /// The number of the reactor that serves it.
    package var reactor = 0
    /// Unsent bytes in the kernel.
    package var kernelBytes = 0
    /// Round-trip time of the last PING; `nil`: none was answered yet.
    package var roundTripMilliseconds: Double?
    /// `nil`: they were not requested.
    package var filters: [String]?

    package init() {}

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        id = try object.string("id") ?? ""
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
