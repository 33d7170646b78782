/// `reload`: reads the configuration and the file of users and tokens again, as SIGHUP does; answered when what they say
/// holds, or refused after ten seconds.
package struct ReloadRequest: AdminRequest {
    package typealias Answer = AdminDone
    package static let verb = "reload"
    package static let right = AdminRight.operate

    package init() {}
    package init(_ object: borrowing JSONObject) throws(JSONError) {}
    package func write(to writer: inout JSONWriter) {}
}
