/// `status`: the state of the broker.
package struct StatusRequest: AdminRequest {
    package static let verb = "status"
    package static let right = AdminRight.read

    package init() {}
    package init(_ object: borrowing JSONObject) throws(JSONError) {}
    package func write(to writer: inout JSONWriter) {}

    /// The state of the broker; members that an older broker does not send are 0 or empty.
    package struct Answer: AdminObject {
        /// Its name and version.
        package var server = ""
        /// `nil`: unknown.
        package var processIdentifier: Int32?
        /// In Unix milliseconds.
        package var startedAt: Int64 = 0
        package var uptimeSeconds = 0
        package var listen: [String] = []
        package var dataDirectory = ""
        package var reactors = 0
        /// The I/O interface of the reactors.
        package var backend = ""
        package var connections = 0
        package var clients = 0
        package var subscriptions = 0
        /// The number of the newest message.
        package var seq: UInt64 = 0
        package var epoch: UInt64 = 0
        package var published = 0
        package var delivered = 0
        /// `nil`: the store could not be read.
        package var store: Store?
        /// The longest request accepted, in bytes.
        package var maximumQuestion = 1 << 20
        /// Resident bytes.
        package var memoryBytes = 0
        /// Why the broker is not ready; `nil`: it is ready.
        package var failure: String?
        /// Where a damaged store was moved at startup; `nil`: the store was intact.
        package var movedAside: String?

        package init() {}

        /// What is stored.
        package struct Store: Sendable {
            package var values = 0
            package var valueBytes = 0
            package var messages = 0
            package var messageBytes = 0
            package var usedBytes = 0
            package var maximumBytes = 0
            package var fileBytes = 0
            package var views = 0

            package init() {}
        }
    }
}

extension StatusRequest.Answer {
    package init(_ object: borrowing JSONObject) throws(JSONError) {
        server = try object.string("server") ?? ""
        processIdentifier = try object.integer("pid")
        startedAt = try object.integer("startedAt") ?? 0
        uptimeSeconds = try object.integer("uptimeSeconds") ?? 0
        listen = try object.strings("listen") ?? []
        dataDirectory = try object.string("dataDirectory") ?? ""
        reactors = try object.integer("reactors") ?? 0
        backend = try object.string("backend") ?? ""
        connections = try object.integer("connections") ?? 0
        clients = try object.integer("clients") ?? 0
        subscriptions = try object.integer("subscriptions") ?? 0
        seq = try object.integer("seq") ?? 0
        epoch = try object.integer("epoch") ?? 0
        published = try object.integer("published") ?? 0
        delivered = try object.integer("delivered") ?? 0
        store = try Store(object)
        maximumQuestion = try object.integer("maximumQuestion") ?? 1 << 20
        memoryBytes = try object.integer("memoryBytes") ?? 0
        if try object.bool("ready") != true { failure = try object.string("reason") ?? "" }
        movedAside = try object.string("movedAside")
    }

    package func write(to writer: inout JSONWriter) {
        writer.member("server", server)
        if let processIdentifier { writer.member("pid", processIdentifier) }
        writer.member("startedAt", startedAt)
        writer.member("uptimeSeconds", uptimeSeconds)
        writer.member("listen", listen)
        writer.member("dataDirectory", dataDirectory)
        writer.member("reactors", reactors)
        writer.member("backend", backend)
        writer.member("connections", connections)
        writer.member("clients", clients)
        writer.member("subscriptions", subscriptions)
        writer.member("seq", seq)
        writer.member("epoch", epoch)
        writer.member("published", published)
        writer.member("delivered", delivered)
        store?.write(to: &writer)
        writer.member("maximumQuestion", maximumQuestion)
        writer.member("memoryBytes", memoryBytes)
        writer.member("ready", failure == nil)
        if let failure { writer.member("reason", failure) }
        if let movedAside { writer.member("movedAside", movedAside) }
    }
}

extension StatusRequest.Answer.Store {
    fileprivate init?(_ status: borrowing JSONObject) throws(JSONError) {
        guard let retained = try status.object("retained"), let store = try status.object("store") else { return nil }
        values = try retained.integer("values") ?? 0
        valueBytes = try retained.integer("payloadBytes") ?? 0
        if let history = try status.object("history") {
            messages = try history.integer("messages") ?? 0
            messageBytes = try history.integer("payloadBytes") ?? 0
        }
        usedBytes = try store.integer("usedBytes") ?? 0
        maximumBytes = try store.integer("maximumBytes") ?? 0
        fileBytes = try store.integer("fileBytes") ?? 0
        views = try store.integer("views") ?? 0
    }

    fileprivate func write(to writer: inout JSONWriter) {
        writer.name("retained")
        writer.beginObject()
        writer.member("values", values)
        writer.member("payloadBytes", valueBytes)
        writer.endObject()
        writer.name("history")
        writer.beginObject()
        writer.member("messages", messages)
        writer.member("payloadBytes", messageBytes)
        writer.endObject()
        writer.name("store")
        writer.beginObject()
        writer.member("usedBytes", usedBytes)
        writer.member("maximumBytes", maximumBytes)
        writer.member("fileBytes", fileBytes)
        writer.member("views", views)
        writer.endObject()
    }
}
