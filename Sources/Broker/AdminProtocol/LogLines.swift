/// A request for the last lines of something that the broker writes line by line, and for those that come.
package protocol LineRequest: AdminRequest where Answer == LogLines {
    /// Lines after this one, by its number; `nil`: from the first that is remembered.
    var after: UInt64? { get set }
    /// Only lines of this time or later, in Unix milliseconds; `nil`: all.
    var since: Int64? { get set }
    /// Whether the answer waits until there is a line, for some seconds at most.
    var isWaiting: Bool { get set }
}

/// Lines that the broker has written.
package struct LogLines: AdminObject {
    /// An object of JSON each.
    package var lines: [[UInt8]] = []
    /// Where the next request goes on.
    package var next: UInt64 = 0
    /// Whether there are more already.
    package var hasMore = false
    /// Lines that are forgotten: they came after ``LineRequest/after``.
    package var missed = 0

    package init() {}

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        var lines: [[UInt8]] = []
        try object.value("lines")?.forEachElement { (element) throws(JSONError) in
            lines.append(element.copyRawBytes())
        }
        self.lines = lines
        next = try object.integer("next") ?? 0
        hasMore = try object.bool("more") ?? false
        missed = try object.integer("missed") ?? 0
    }

    package func write(to writer: inout JSONWriter) {
        writer.name("lines")
        writer.beginArray()
        for line in lines { writer.raw(line.span) }
        writer.endArray()
        writer.member("next", next)
        if hasMore { writer.member("more", true) }
        if missed > 0 { writer.member("missed", missed) }
    }
}
