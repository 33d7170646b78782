/// `config.show`: the settings that the broker last read, without secrets.
package struct ConfigShowRequest: AdminRequest {
    package static let verb = "config.show"
    package static let right = AdminRight.operate

    /// Whether the text explains each setting.
    package var isExplained: Bool

    package init(isExplained: Bool = false) { self.isExplained = isExplained }
    package init(_ object: borrowing JSONObject) throws(JSONError) {
        isExplained = try object.bool("explained") ?? false
    }
    package func write(to writer: inout JSONWriter) { if isExplained { writer.member("explained", true) } }

    /// The settings.
    package struct Answer: AdminObject {
        /// The configuration file; `nil` if there is none.
        package var file: String?
        /// The settings in YAML.
        package var text = ""
        /// The settings as a JSON object.
        package var settings: [UInt8] = []
        /// Settings that need a restart, with the values in force until then.
        package var waiting: [ConfigChange] = []

        package init() {}

        package init(_ object: borrowing JSONObject) throws(JSONError) {
            file = try object.string("file")
            text = try object.string("text") ?? ""
            settings = object.value("settings")?.copyRawBytes() ?? []
            waiting = try ConfigChange.list(object, "waiting")
        }

        package func write(to writer: inout JSONWriter) {
            if let file { writer.member("file", file) }
            writer.member("text", text)
            writer.member("settings", raw: settings.span)
            ConfigChange.write(waiting, "waiting", to: &writer)
        }
    }
}

/// `config.plan`: what a reload would change, without changing it.
package struct ConfigPlanRequest: AdminRequest {
    package static let verb = "config.plan"
    package static let right = AdminRight.operate

    /// The configuration in YAML; `nil` for the broker's own file as it is now.
    package var text: String?
    /// The name of the text in errors; empty for the name of the broker's own file.
    package var name = ""

    package init(text: String? = nil, name: String = "") {
        self.text = text
        self.name = name
    }

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        text = try object.string("text")
        name = try object.string("name") ?? ""
    }

    package func write(to writer: inout JSONWriter) {
        if let text { writer.member("text", text) }
        if !name.isEmpty { writer.member("name", name) }
    }

    /// What would change.
    package struct Answer: AdminObject {
        /// The broker's own file; `nil` if it has none.
        package var file: String?
        /// The errors that would make the reload fail, one a line; empty if there are none.
        package var errors: [String] = []
        /// The settings that would change, in the order of the manual.
        package var changes: [ConfigChange] = []
        /// How many clients are connected.
        package var clients = 0
        /// What clients would lose; `nil` if rights would not change.
        package var losses: Losses?

        package init() {}

        /// What clients would lose by changed rights.
        package struct Losses: Sendable {
            /// Clients that would be disconnected, because their credentials would no longer be accepted.
            package var disconnected = 0
            /// Clients that would lose subscriptions.
            package var clients = 0
            package var subscriptions = 0
            /// Whether only a part of the clients was checked, because there are too many.
            package var isPartial = false

            package init() {}
        }

        package init(_ object: borrowing JSONObject) throws(JSONError) {
            file = try object.string("file")
            errors = try object.strings("errors") ?? []
            changes = try ConfigChange.list(object, "changes")
            clients = try object.integer("clients") ?? 0
            guard let losses = try object.object("losses") else { return }
            var found = Losses()
            found.disconnected = try losses.integer("disconnected") ?? 0
            found.clients = try losses.integer("clients") ?? 0
            found.subscriptions = try losses.integer("subscriptions") ?? 0
            found.isPartial = try losses.bool("partial") ?? false
            self.losses = found
        }

        package func write(to writer: inout JSONWriter) {
            if let file { writer.member("file", file) }
            writer.member("errors", errors)
            ConfigChange.write(changes, "changes", to: &writer)
            writer.member("clients", clients)
            guard let losses else { return }
            writer.name("losses")
            writer.beginObject()
            writer.member("disconnected", losses.disconnected)
            writer.member("clients", losses.clients)
            writer.member("subscriptions", losses.subscriptions)
            writer.member("partial", losses.isPartial)
            writer.endObject()
        }
    }
}

/// A setting that would change.
package struct ConfigChange: AdminObject {
    /// The setting's path, such as `limits.message`.
    package var path: String
    /// Whether the change needs a restart.
    package var needsRestart: Bool
    /// The old and the new value in YAML, without secrets; `nil` if not set.
    package var old: String?
    package var new: String?

    package init(path: String, needsRestart: Bool, old: String?, new: String?) {
        self.path = path
        self.needsRestart = needsRestart
        self.old = old
        self.new = new
    }

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        path = try object.string("path") ?? ""
        needsRestart = try object.string("change") == "restart"
        old = try object.string("old")
        new = try object.string("new")
    }

    package func write(to writer: inout JSONWriter) {
        writer.member("path", path)
        writer.member("change", needsRestart ? "restart" : "live")
        if let old { writer.member("old", old) }
        if let new { writer.member("new", new) }
    }

    fileprivate static func list(_ object: borrowing JSONObject, _ name: JSONName) throws(JSONError) -> [ConfigChange] {
        var changes: [ConfigChange] = []
        try object.value(name)?.forEachElement { (element) throws(JSONError) in
            changes.append(try ConfigChange(try element.object()))
        }
        return changes
    }

    fileprivate static func write(_ changes: [ConfigChange], _ name: StaticString, to writer: inout JSONWriter) {
        writer.name(name)
        writer.beginArray()
        for change in changes { change.writeObject(to: &writer) }
        writer.endArray()
    }
}
