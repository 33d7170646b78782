/// `backup`: starts a copy of the whole store; each `backup.next` then requests one piece of it.
package struct BackupRequest: AdminRequest {
    package typealias Answer = AdminDone
    package static let verb = "backup"
    package static let right = AdminRight.operate

    package init() {}
    package init(_ object: borrowing JSONObject) throws(JSONError) {}
    package func write(to writer: inout JSONWriter) {}
}

/// `backup.next`: the answer is the next piece of the copy as a binary frame, or an object after the last piece.
package struct BackupNextRequest: AdminRequest {
    package typealias Answer = AdminDone
    package static let verb = "backup.next"
    package static let right = AdminRight.operate

    package init() {}
    package init(_ object: borrowing JSONObject) throws(JSONError) {}
    package func write(to writer: inout JSONWriter) {}
}
