/// `cluster`: the cluster as this broker sees it.
package struct ClusterRequest: AdminRequest {
    package static let verb = "cluster"
    package static let right = AdminRight.read

    package init() {}
    package init(_ object: borrowing JSONObject) throws(JSONError) {}
    package func write(to writer: inout JSONWriter) {}

    /// One of the brokers.
    package struct Node: AdminObject {
        /// Its number, in base 16.
        package var node = ""
        /// Its name.
        package var name = ""
        package var version = ""
        /// The addresses that it listens on.
        package var listen = ""
        /// The newest format of records that it reads; 1 if it does not say so.
        package var format = 1
        package var clients = 0
        /// Whether it is the broker that answers.
        package var isHere = false
        /// Whether it was heard from lately.
        package var isAlive = false
        /// How far it has applied the log, as it last reported.
        package var position = ""
        /// How long ago it was heard from, in milliseconds; `nil` if it was not since the start.
        package var silence: Int?
        /// Whether its state differs after the same log.
        package var differs = false
        /// Whether its configuration file has other rules than those in force.
        package var fileDiffers = false
        /// What tells the rules of its file from others; not sent.
        package var rules = ""

        package init() {}

        package init(_ object: borrowing JSONObject) throws(JSONError) {
            node = try object.string("node") ?? ""
            name = try object.string("name") ?? ""
            version = try object.string("version") ?? ""
            listen = try object.string("listen") ?? ""
            format = try object.integer("recordFormat") ?? 1
            clients = try object.integer("clients") ?? 0
            isHere = try object.bool("here") ?? false
            isAlive = try object.bool("alive") ?? false
            position = try object.string("position") ?? ""
            silence = try object.integer("silentMilliseconds")
            differs = try object.bool("differs") ?? false
            fileDiffers = try object.bool("fileDiffers") ?? false
        }

        package func write(to writer: inout JSONWriter) {
            writer.member("node", node)
            writer.member("name", name)
            writer.member("version", version)
            writer.member("listen", listen)
            writer.member("recordFormat", format)
            writer.member("clients", clients)
            writer.member("here", isHere)
            writer.member("alive", isAlive)
            writer.member("position", position)
            if let silence { writer.member("silentMilliseconds", silence) }
            writer.member("differs", differs)
            writer.member("fileDiffers", fileDiffers)
        }
    }

    /// One of several logs.
    package struct Partition: AdminObject {
        package var partition = 0
        /// As that of the answer.
        package var state = ""
        package var term: UInt64 = 0
        package var position = ""
        package var top = ""
        package var primary: String?
        package var replica: String?
        package var lag: Double?
        package var waiting = 0
        package var failures: UInt64 = 0

        package init() {}

        package init(_ object: borrowing JSONObject) throws(JSONError) {
            partition = try object.integer("partition") ?? 0
            state = try object.string("state") ?? ""
            term = try object.integer("term") ?? 0
            position = try object.string("position") ?? ""
            top = try object.string("top") ?? ""
            primary = try object.string("primary")
            replica = try object.string("replica")
            lag = try object.double("lagMilliseconds")
            waiting = try object.integer("waiting") ?? 0
            failures = try object.integer("failures") ?? 0
        }

        package func write(to writer: inout JSONWriter) {
            writer.member("partition", partition)
            writer.member("state", state)
            writer.member("term", term)
            writer.member("position", position)
            writer.member("top", top)
            if let primary { writer.member("primary", primary) }
            if let replica { writer.member("replica", replica) }
            if let lag { writer.member("lagMilliseconds", lag) }
            writer.member("waiting", waiting)
            writer.member("failures", failures)
        }
    }

    /// The state of the cluster as one of its brokers sees it; with several logs, members about one log describe the
    /// first.
    package struct Answer: AdminObject {
        /// The name of the cluster.
        package var cluster = ""
        /// The number, in base 16, and the name of the broker that answers.
        package var node = ""
        package var name = ""
        /// `stopped`, `away`, `arming`, `catching-up`, `active` or `lost`.
        package var state = ""
        /// Why the broker is not ready; `nil` if the cluster is not the reason.
        package var reason: String?
        /// What should be set differently, as sentences.
        package var warnings: [String] = []
        package var epoch: UInt64 = 0
        package var term: UInt64 = 0
        /// The position up to which the log is applied, and its end, as `TERM-SEQ`.
        package var position = ""
        package var top = ""
        /// The server that it appends to, with that server's version, and the one that it reads from; `nil` without a
        /// connection.
        package var primary: String?
        package var version: String?
        package var replica: String?
        /// The format of the records that it appends.
        package var format = 1
        /// How long the last canary took, in milliseconds; `nil` if none has come back.
        package var lag: Double?
        /// How many records have not come back.
        package var waiting = 0
        /// Since the start: how often the engine was lost, terms that have begun, entries restored, and how often
        /// waiting publications were refused.
        package var failures: UInt64 = 0
        package var terms: UInt64 = 0
        package var restored: UInt64 = 0
        package var surrenders: UInt64 = 0
        /// The broker whose file has the rules that are in force, when it was reloaded, in Unix milliseconds, and where
        /// the file of this one has others; `nil`: the cluster has none yet.
        package var rulesNode: String?
        package var rulesTime: Int64?
        package var rulesDiffering: [String] = []
        package var nodes: [Node] = []
        /// Empty: there is one log.
        package var partitions: [Partition] = []

        package init() {}

        package init(_ object: borrowing JSONObject) throws(JSONError) {
            cluster = try object.string("cluster") ?? ""
            node = try object.string("node") ?? ""
            name = try object.string("name") ?? ""
            state = try object.string("state") ?? ""
            reason = try object.string("reason")
            warnings = try object.strings("warnings") ?? []
            epoch = try object.integer("epoch") ?? 0
            term = try object.integer("term") ?? 0
            position = try object.string("position") ?? ""
            top = try object.string("top") ?? ""
            primary = try object.string("primary")
            version = try object.string("engineVersion")
            replica = try object.string("replica")
            format = try object.integer("recordFormat") ?? 1
            lag = try object.double("lagMilliseconds")
            waiting = try object.integer("waiting") ?? 0
            failures = try object.integer("failures") ?? 0
            terms = try object.integer("terms") ?? 0
            restored = try object.integer("restored") ?? 0
            surrenders = try object.integer("surrenders") ?? 0
            rulesNode = try object.string("rulesNode")
            rulesTime = try object.integer("rulesTime")
            rulesDiffering = try object.strings("rulesDiffering") ?? []
            if let list = object.value("partitions") {
                var partitions: [Partition] = []
                try list.forEachElement { (element) throws(JSONError) in
                    partitions.append(try Partition(try element.object()))
                }
                self.partitions = partitions
            }
            guard let list = object.value("nodes") else { return }
            var nodes: [Node] = []
            try list.forEachElement { (element) throws(JSONError) in nodes.append(try Node(try element.object())) }
            self.nodes = nodes
        }

        package func write(to writer: inout JSONWriter) {
            writer.member("cluster", cluster)
            writer.member("node", node)
            writer.member("name", name)
            writer.member("state", state)
            if let reason { writer.member("reason", reason) }
            writer.member("warnings", warnings)
            writer.member("epoch", epoch)
            writer.member("term", term)
            writer.member("position", position)
            writer.member("top", top)
            if let primary { writer.member("primary", primary) }
            if let version { writer.member("engineVersion", version) }
            if let replica { writer.member("replica", replica) }
            writer.member("recordFormat", format)
            if let lag { writer.member("lagMilliseconds", lag) }
            writer.member("waiting", waiting)
            writer.member("failures", failures)
            writer.member("terms", terms)
            writer.member("restored", restored)
            writer.member("surrenders", surrenders)
            if let rulesNode { writer.member("rulesNode", rulesNode) }
            if let rulesTime { writer.member("rulesTime", rulesTime) }
            writer.name("rulesDiffering")
            writer.beginArray()
            for path in rulesDiffering { writer.string(path) }
            writer.endArray()
            writer.name("nodes")
            writer.beginArray()
            for node in nodes { node.writeObject(to: &writer) }
            writer.endArray()
            guard !partitions.isEmpty else { return }
            writer.name("partitions")
            writer.beginArray()
            for partition in partitions { partition.writeObject(to: &writer) }
            writer.endArray()
        }
    }
}

/// `cluster.forget`: forgets a broker that will not come back.
package struct ForgetNodeRequest: AdminRequest {
    package typealias Answer = AdminDone
    package static let verb = "cluster.forget"
    package static let right = AdminRight.operate

    /// Its number, in base 16.
    package var node: String

    package init(node: String) { self.node = node }

    package init(_ object: borrowing JSONObject) throws(JSONError) { node = try object.string("node") ?? "" }

    package func write(to writer: inout JSONWriter) { writer.member("node", node) }
}
