/// `backup`: begins a copy of the whole store, of which `backup.next` asks one piece after another.
package struct BackupRequest: AdminRequest {
    package typealias Answer = AdminDone
    package static let verb = "backup"
    package static let right = AdminRight.operate

    package init() {}
    package init(_ object: borrowing JSONObject) throws(JSONError) {}
    package func write(to writer: inout JSONWriter) {}
}

/// `backup.next`: is answered by the next piece of the copy, a binary frame, or, after the last, by an object.
package struct BackupNextRequest: AdminRequest {
    package typealias Answer = AdminDone
    package static let verb = "backup.next"
    package static let right = AdminRight.operate

    package init() {}
    package init(_ object: borrowing JSONObject) throws(JSONError) {}
    package func write(to writer: inout JSONWriter) {}
}
