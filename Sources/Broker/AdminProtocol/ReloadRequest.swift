/// `reload`: reads the configuration and the file of users and tokens again, as SIGHUP does; answered when what they say
/// holds, or refused with the errors, or after ten seconds.
package struct ReloadRequest: AdminRequest {
    package static let verb = "reload"
    package static let right = AdminRight.operate

    package init() {}
    package init(_ object: borrowing JSONObject) throws(JSONError) {}
    package func write(to writer: inout JSONWriter) {}

    /// What has changed.
    package struct Answer: AdminObject {
        /// The paths of settings that are others now than after the last reload, in the order of the manual.
        package var changed: [String]
        /// The paths of settings that are others than at the start, and wait for the next one.
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
