/// `reload`: reads the configuration and the users file again, as SIGHUP does.
///
/// Answered when the new settings are in force; refused if they have errors, or after ten seconds.
package struct ReloadRequest: AdminRequest {
    package static let verb = "reload"
    package static let right = AdminRight.operate

    package init() {}
    package init(_ object: borrowing JSONObject) throws(JSONError) {}
    package func write(to writer: inout JSONWriter) {}

    /// The changes.
    package struct Answer: AdminObject {
        /// The paths of settings that differ from those of the last reload, in the order of the manual.
        package var changed: [String]
        /// The paths of settings that differ from those of the start, and need a restart.
        package var needsRestart: [String]

        package init(changed: [String] = [], needsRestart: [String] = []) {
            self.changed = changed
            self.needsRestart = needsRestart
        }

        package init(_ object: borrowing JSONObject) throws(JSONError) {
            changed = try object.strings("changed") ?? []
            needsRestart = try object.strings("needsRestart") ?? []
        }

        package func write(to writer: inout JSONWriter) {
            writer.member("changed", changed)
            writer.member("needsRestart", needsRestart)
        }
    }
}
