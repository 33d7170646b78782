/// `drain`: shuts the broker down in order, as SIGTERM does; answered before that begins.
package struct DrainRequest: AdminRequest {
    package typealias Answer = AdminDone
    package static let verb = "drain"
    package static let right = AdminRight.operate

    package init() {}
    package init(_ object: borrowing JSONObject) throws(JSONError) {}
    package func write(to writer: inout JSONWriter) {}
}
