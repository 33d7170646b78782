/// `status`: the state of the broker.
package struct StatusRequest: AdminRequest {
    package static let verb = "status"
    package static let right = AdminRight.read

    /// Whether to examine every client, for ``Answer/backlog``.
    package var countsClients: Bool

    package init(countsClients: Bool = false) { self.countsClients = countsClients }

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        countsClients = try object.bool("clients") ?? false
    }

    package func write(to writer: inout JSONWriter) {
        if countsClients { writer.member("clients", true) }
    }

    /// The state of the broker; members that an older broker does not send are 0 or empty.
    package struct Answer: AdminObject {
        /// The server's name and version.
        package var server = ""
        /// The process id; `nil` if unknown.
        package var processIdentifier: Int32?
        /// When the broker started, in Unix milliseconds.
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
        /// The contents of the store; `nil` if it could not be read.
        package var store: Store?
        /// How long the last readiness probe took, a message and a write to the store, in milliseconds; `nil` if
        /// unknown.
        package var canary: Double?
        /// How long the last commit took, including its sync, in milliseconds; `nil` from an older broker.
        package var lastCommit: Double?
        /// The 99th percentile of commit times since the start, in milliseconds; `nil` if unknown.
        package var slowCommit: Double?
        /// The size and the free space of the data directory's file system, in bytes; `nil` if unknown.
        package var diskBytes: Int?
        package var diskFreeBytes: Int?
        /// The open file descriptors and their limit; `nil` if unknown.
        package var descriptors: Int?
        package var maximumDescriptors: Int?
        /// The setting `limits.connections`.
        package var maximumConnections: Int?
        /// The memory that clients occupy, in bytes.
        package var heldBytes = 0
        /// The setting `limits.memory`, in bytes; `nil` if unlimited.
        package var maximumHeldBytes: Int?
        /// The seconds until the first certificate of a listener expires; `nil` if there are no certificates.
        package var certificateSeconds: Int?
        /// Each certificate of a listener.
        package var certificates: [CertificateSummary] = []
        /// The backlog of the clients; `nil` if it was not requested.
        package var backlog: Backlog?
        /// The event loops whose clients are missing in it, because they did not answer in time.
        package var late: [Int] = []
        /// The maximum size of a request, in bytes.
        package var maximumQuestion = 1 << 20
        /// The resident memory, in bytes.
        package var memoryBytes = 0
        /// Why the broker is not ready; `nil` if it is ready.
        package var failure: String?
        /// Where a damaged store was moved at startup; `nil` if the store was intact.
        package var movedAside: String?

        package init() {}

        /// Messages that clients have not received yet.
        package struct Backlog: Sendable {
            /// How many clients are behind: messages for them wait outside their connections.
            package var behind = 0
            /// The unsent bytes of all clients, and of the client with the most.
            package var pendingBytes = 0
            package var largestBytes = 0

            package init() {}
        }

        /// The contents of the store.
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
        canary = try object.double("canaryMilliseconds")
        if let commit = try object.object("commit") {
            lastCommit = try commit.double("lastMilliseconds")
            slowCommit = try commit.double("p99Milliseconds")
        }
        if let disk = try object.object("disk") {
            diskBytes = try disk.integer("bytes")
            diskFreeBytes = try disk.integer("freeBytes")
        }
        if let descriptors = try object.object("descriptors") {
            self.descriptors = try descriptors.integer("open")
            maximumDescriptors = try descriptors.integer("maximum")
        }
        maximumConnections = try object.integer("maximumConnections")
        heldBytes = try object.integer("heldBytes") ?? 0
        maximumHeldBytes = try object.integer("maximumHeldBytes")
        certificateSeconds = try object.integer("certificateSeconds")
        var certificates: [CertificateSummary] = []
        try object.value("certificates")?.forEachElement { (element) throws(JSONError) in
            certificates.append(try CertificateSummary(try element.object()))
        }
        self.certificates = certificates
        backlog = try Backlog(object)
        late = try object.integers("late")
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
        writeMachine(to: &writer)
        backlog?.write(to: &writer)
        writer.member(late: late)
        writer.member("maximumQuestion", maximumQuestion)
        writer.member("memoryBytes", memoryBytes)
        writer.member("ready", failure == nil)
        if let failure { writer.member("reason", failure) }
        if let movedAside { writer.member("movedAside", movedAside) }
    }
}

extension StatusRequest.Answer {
    /// Writes the limits of the machine, and how much of each is used.
    private func writeMachine(to writer: inout JSONWriter) {
        if let canary { writer.member("canaryMilliseconds", canary) }
        if let lastCommit {
            writer.name("commit")
            writer.beginObject()
            writer.member("lastMilliseconds", lastCommit)
            if let slowCommit { writer.member("p99Milliseconds", slowCommit) }
            writer.endObject()
        }
        if let diskBytes, let diskFreeBytes {
            writer.name("disk")
            writer.beginObject()
            writer.member("bytes", diskBytes)
            writer.member("freeBytes", diskFreeBytes)
            writer.endObject()
        }
        if let maximumDescriptors {
            writer.name("descriptors")
            writer.beginObject()
            if let descriptors { writer.member("open", descriptors) }
            writer.member("maximum", maximumDescriptors)
            writer.endObject()
        }
        if let maximumConnections { writer.member("maximumConnections", maximumConnections) }
        writer.member("heldBytes", heldBytes)
        if let maximumHeldBytes { writer.member("maximumHeldBytes", maximumHeldBytes) }
        if let certificateSeconds { writer.member("certificateSeconds", certificateSeconds) }
        guard !certificates.isEmpty else { return }
        writer.name("certificates")
        writer.beginArray()
        for certificate in certificates { certificate.writeObject(to: &writer) }
        writer.endArray()
    }
}

/// A certificate of a listener.
package struct CertificateSummary: AdminObject, Equatable {
    /// The path in the configuration.
    package let file: String
    /// The seconds until it expires, below 0 if it has expired; `nil` if it cannot be read.
    package let seconds: Int?

    init(file: String, seconds: Int?) {
        self.file = file
        self.seconds = seconds
    }

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        file = try object.string("file") ?? ""
        seconds = try object.integer("seconds")
    }

    package func write(to writer: inout JSONWriter) {
        writer.member("file", file)
        if let seconds { writer.member("seconds", seconds) }
    }
}

extension StatusRequest.Answer.Backlog {
    fileprivate init?(_ status: borrowing JSONObject) throws(JSONError) {
        guard let backlog = try status.object("backlog") else { return nil }
        behind = try backlog.integer("clientsBehind") ?? 0
        pendingBytes = try backlog.integer("pendingBytes") ?? 0
        largestBytes = try backlog.integer("largestPendingBytes") ?? 0
    }

    fileprivate func write(to writer: inout JSONWriter) {
        writer.name("backlog")
        writer.beginObject()
        writer.member("clientsBehind", behind)
        writer.member("pendingBytes", pendingBytes)
        writer.member("largestPendingBytes", largestBytes)
        writer.endObject()
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
