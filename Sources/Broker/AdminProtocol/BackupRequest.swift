/// `backup`: starts a copy of the whole store.
///
/// With `path` the broker writes the copy to a file, and answers when it is complete. Without it, each `backup.next`
/// requests one piece of the copy.
package struct BackupRequest: AdminRequest {
    package static let verb = "backup"
    package static let right = AdminRight.operate

    /// The file to write, in the broker's `admin.backup_directory`; `nil` if the copy is sent to the client.
    package var path: String?

    package init(path: String? = nil) { self.path = path }

    package init(_ object: borrowing JSONObject) throws(JSONError) { path = try object.string("path") }

    package func write(to writer: inout JSONWriter) {
        if let path { writer.member("path", path) }
    }

    package struct Answer: AdminObject {
        /// The file that was written; `nil` if the copy is sent.
        package var path: String?
        /// The size of the file, in bytes; `nil` if the copy is sent.
        package var bytes: Int?

        package init(path: String? = nil, bytes: Int? = nil) {
            self.path = path
            self.bytes = bytes
        }

        package init(_ object: borrowing JSONObject) throws(JSONError) {
            path = try object.string("path")
            bytes = try object.integer("bytes")
        }

        package func write(to writer: inout JSONWriter) {
            if let path { writer.member("path", path) }
            if let bytes { writer.member("bytes", bytes) }
        }
    }

    /// The path components from `directory` to `path`, relative to it or beginning with it; `nil` if `path` is outside
    /// it.
    ///
    /// No component is empty, `.` or `..`, or contains a zero byte.
    package static func names(of path: String, below directory: String) -> [String]? {
        var names = path.utf8[...]
        if path.utf8.first == UInt8(ascii: "/") {
            var root = directory.utf8[...]
            while root.last == UInt8(ascii: "/") { root.removeLast() }
            guard !root.isEmpty, names.starts(with: root) else { return nil }
            names = names.dropFirst(root.count)
            guard names.popFirst() == UInt8(ascii: "/") else { return nil }
        }
        let parts = names.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard parts.count <= maximumDepth else { return nil }
        var found: [String] = []
        for part in parts {
            let name = String(decoding: part, as: UTF8.self)
            guard !name.isEmpty, name != ".", name != "..", !part.contains(0) else { return nil }
            found.append(name)
        }
        return found
    }

    /// The maximum number of path components.
    private static let maximumDepth = 16
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
