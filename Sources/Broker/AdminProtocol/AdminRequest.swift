/// What an administrator asks by one verb: the type that `brokerctl` writes and the broker reads.
///
/// One verb a file, with its request, its answer, and how both are written. On the wire a request is an object with `verb`,
/// an `id` that its answer carries back, and the request's own members; members that a verb does not know are ignored.
package protocol AdminRequest: Sendable {
    associatedtype Answer: AdminAnswer
    /// The verb's name on the wire.
    static var verb: String { get }
    /// What the caller must be allowed to do.
    static var right: AdminRight { get }
    /// Reads the request's own members.
    init(_ object: borrowing JSONObject) throws(JSONError)
    /// Writes the request's own members.
    func write(to writer: inout JSONWriter)
}

extension AdminRequest {
    /// The whole request, whose answer carries `id`.
    package func encoded(id: Int = 1) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("id", id)
        writer.member("verb", Self.verb)
        write(to: &writer)
        writer.endObject()
        return writer.bytes
    }
}

/// What a caller is allowed to do.
package enum AdminRight: String, Sendable, CaseIterable {
    /// To look at the broker, its clients and its values.
    case read
    /// To change values and to disconnect clients.
    case write
    /// To change how the broker runs, and to copy all it has.
    case operate
}

/// What a verb answers: the member `result` of the answer, and what goes beside it.
package protocol AdminAnswer: Sendable {
    /// Reads an answer that is no refusal.
    init(answer: borrowing JSONObject) throws(JSONError)
    /// Writes `result` and what goes beside it.
    func writeAnswer(to writer: inout JSONWriter)
}

/// Something that is an object in JSON: an answer, or an element of one.
package protocol AdminObject: AdminAnswer {
    /// Reads the members.
    init(_ object: borrowing JSONObject) throws(JSONError)
    /// Writes the members.
    func write(to writer: inout JSONWriter)
}

extension AdminObject {
    package init(answer: borrowing JSONObject) throws(JSONError) {
        guard let result = answer.value("result") else { throw AdminWire.missingResult(answer) }
        try self.init(try result.object())
    }

    package func writeAnswer(to writer: inout JSONWriter) {
        writer.name("result")
        writeObject(to: &writer)
    }

    func writeObject(to writer: inout JSONWriter) {
        writer.beginObject()
        write(to: &writer)
        writer.endObject()
    }
}

/// A list, or a part of one.
package struct AdminList<Element: AdminObject>: AdminAnswer {
    package var elements: [Element]
    /// Whether there is more than the broker says at once.
    package var isTruncated: Bool
    /// Where the next question goes on; `nil`: nowhere.
    package var next: String?

    package init(_ elements: [Element], isTruncated: Bool = false, next: String? = nil) {
        self.elements = elements
        self.isTruncated = isTruncated
        self.next = next
    }

    package init(answer: borrowing JSONObject) throws(JSONError) {
        guard let result = answer.value("result") else { throw AdminWire.missingResult(answer) }
        isTruncated = try answer.bool("truncated") ?? false
        next = try answer.string("next")
        var elements: [Element] = []
        try result.forEachElement { (element) throws(JSONError) in elements.append(try Element(try element.object())) }
        self.elements = elements
    }

    package func writeAnswer(to writer: inout JSONWriter) {
        writer.name("result")
        writer.beginArray()
        for element in elements { element.writeObject(to: &writer) }
        writer.endArray()
        if isTruncated { writer.member("truncated", true) }
        if let next { writer.member("next", next) }
    }
}

/// An object without members: the verb has been taken.
package struct AdminDone: AdminObject {
    package init() {}
    package init(_ object: borrowing JSONObject) throws(JSONError) {}
    package func write(to writer: inout JSONWriter) {}
}

extension JSONWriter {
    /// Writes a member that is an array of strings.
    mutating func member(_ name: StaticString, _ strings: [String]) {
        self.name(name)
        beginArray()
        for text in strings { string(text) }
        endArray()
    }
}
