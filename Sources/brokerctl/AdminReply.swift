internal import Broker
internal import WSTransport

/// What the broker answered an administrator's question: JSON, as it came.
struct AdminReply {
    /// The answer's `result`.
    let result: [UInt8]
    /// Whether there is more than the broker says at once.
    let isTruncated: Bool
    /// Where the next question goes on; `nil`: that was all, or nowhere.
    let next: String?

    /// Puts one question to the broker.
    ///
    /// - Parameter members: writes those of the request besides its `id` and `verb`.
    static func ask(
        _ options: ConnectionOptions, _ verb: String, _ members: (inout JSONWriter) -> Void = { _ in }
    ) async throws -> AdminReply {
        let question = AdminConnection.question(verb, members)
        let admin = try await AdminConnection(options)
        let reply = try await admin.ask(question)
        await admin.close()
        return reply
    }

    /// Which question an answer is to.
    static func identifier(of answer: [UInt8]) throws(Failure) -> Int {
        do throws(JSONError) {
            return try JSONObject.parse(answer.span, maximumDepth: maximumDepth).integer("id", as: Int.self) ?? 0
        } catch {
            throw .notUnderstood(error)
        }
    }

    /// Reads an answer; throws where it is a refusal.
    init(_ answer: [UInt8]) throws(Failure) {
        var refusal: String?
        do throws(JSONError) {
            let object = try JSONObject.parse(answer.span, maximumDepth: Self.maximumDepth)
            if let error = try object.object("error") {
                let code = try error.string("code") ?? "error"
                refusal = "\(try error.string("message") ?? "refused") (\(code))"
            }
            isTruncated = try object.bool("truncated") ?? false
            next = try object.string("next")
            result = object.value("result")?.copyRawBytes() ?? Array("null".utf8)
        } catch {
            throw .notUnderstood(error)
        }
        if let refusal { throw .failed(refusal) }
    }

    /// What is nested in a message's data comes on top of the answer.
    static let maximumDepth = 128

    /// Prints the answer as JSON.
    ///
    /// Throws, when that is done, where there is more than the broker says at once.
    func print() throws(Failure) {
        Output.printJSON(result)
        try checkWhole()
    }

    /// Prints the answer's elements as a table; `cells` makes a row of each.
    func printTable(
        _ columns: [TextTable.Column], _ cells: (borrowing JSONObject) throws(JSONError) -> [String]
    ) throws(Failure) {
        TextTable(columns, try rows(cells)).print()
        try checkWhole()
    }

    /// The rows of a table, one for each of the answer's elements.
    func rows(_ cells: (borrowing JSONObject) throws(JSONError) -> [String]) throws(Failure) -> [[String]] {
        var rows: [[String]] = []
        do throws(JSONError) {
            let list = try JSONValue(parsing: result.span, maximumDepth: Self.maximumDepth)
            try list.forEachElement { (element) throws(JSONError) in rows.append(try cells(try element.object())) }
        } catch {
            throw .notUnderstood(error)
        }
        return rows
    }

    /// Reads the one object that the answer is.
    func read<Value>(_ body: (borrowing JSONObject) throws(JSONError) -> Value) throws(Failure) -> Value {
        do throws(JSONError) {
            return try body(try JSONObject.parse(result.span, maximumDepth: Self.maximumDepth))
        } catch {
            throw .notUnderstood(error)
        }
    }

    private func checkWhole() throws(Failure) {
        if isTruncated { throw .failed("there are more; ask with a narrower filter") }
    }
}
