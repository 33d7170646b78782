/// A request of an administrator with one verb: the type that `brokerctl` writes and the broker reads.
///
/// Each verb has one file, with its request, its answer, and how both are written. On the wire a request is an object
/// with `verb`, an `id` that the answer repeats, and the request's own members; members that a verb does not know are
/// ignored.
package protocol AdminRequest: Sendable {
    associatedtype Answer: AdminAnswer
    /// The verb's name on the wire.
    static var verb: String { get }
    /// The right that the caller needs, on the administration socket and over the network.
    static var right: AdminRight { get }
    /// Parses the request's own members.
    init(_ object: borrowing JSONObject) throws(JSONError)
    /// Writes the request's own members.
    func write(to writer: inout JSONWriter)
}

extension AdminRequest {
    /// The whole request; its answer will carry `id`.
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

/// The answer to a verb: the member `result`, and members beside it.
package protocol AdminAnswer: Sendable {
    /// Parses an answer that is not a refusal.
    init(answer: borrowing JSONObject) throws(JSONError)
    /// Writes `result` and the members beside it.
    func writeAnswer(to writer: inout JSONWriter)
}

/// A JSON object: an answer, or an element of one.
package protocol AdminObject: AdminAnswer {
    /// Parses the members.
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

/// A list, or a page of one.
package struct AdminList<Element: AdminObject>: AdminAnswer {
    package var elements: [Element]
    /// Whether there are more elements than one answer may have.
    package var isTruncated: Bool
    /// The position at which the next request continues; `nil` at the end of the list.
    package var next: String?
    /// The event loops that did not answer in time, by their numbers; their data is missing.
    package var late: [Int] = []
    /// The brokers of the cluster that did not answer in time; their data is missing.
    package var missing: [String] = []

    package init(_ elements: [Element], isTruncated: Bool = false, next: String? = nil) {
        self.elements = elements
        self.isTruncated = isTruncated
        self.next = next
    }

    /// Creates a list of the first `most` elements, which says whether there are more.
    package init(_ all: some Collection<Element>, atMost most: Int) {
        self.init(Array(all.prefix(most)), isTruncated: all.count > most)
    }

    package init(answer: borrowing JSONObject) throws(JSONError) {
        guard let result = answer.value("result") else { throw AdminWire.missingResult(answer) }
        isTruncated = try answer.bool("truncated") ?? false
        next = try answer.string("next")
        late = try answer.integers("late")
        missing = try answer.strings("missing") ?? []
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
        writer.member(late: late)
        if !missing.isEmpty { writer.member("missing", missing) }
    }
}

extension JSONObject {
    /// A member that is an array of numbers; empty if it is absent.
    func integers(_ name: JSONName) throws(JSONError) -> [Int] {
        var numbers: [Int] = []
        try value(name)?.forEachElement { (element) throws(JSONError) in
            numbers.append(try element.integer(as: Int.self, member: name.description))
        }
        return numbers
    }
}

extension JSONWriter {
    /// Writes which event loops are late, if any is.
    mutating func member(late: [Int]) {
        guard !late.isEmpty else { return }
        name("late")
        beginArray()
        for number in late { integer(number) }
        endArray()
    }
}

/// An object without members: the request was accepted.
package struct AdminDone: AdminObject {
    package init() {}
    package init(_ object: borrowing JSONObject) throws(JSONError) {}
    package func write(to writer: inout JSONWriter) {}
}

extension JSONWriter {
    /// Writes a member that is an array of strings.
    package mutating func member(_ name: StaticString, _ strings: [String]) {
        self.name(name)
        beginArray()
        for text in strings { string(text) }
        endArray()
    }
}
