internal import Broker
internal import WSTransport

/// The broker's answer to a request that it did not refuse.
struct AdminResult<Answer: AdminAnswer> {
    let answer: Answer
    /// The answer as received.
    private let json: [UInt8]

    /// Throws if the answer is a refusal.
    init(_ reply: AdminReply<Answer>) throws(Failure) {
        answer = try reply.success
        json = reply.json
    }

    /// Prints the answer as received, as JSON.
    func print() { Output.printJSON(json) }

    /// The elements of a list as received, without the brackets.
    var elements: ArraySlice<UInt8> { json.dropFirst().dropLast() }
}

extension AdminResult {
    /// Prints a list as JSON.
    ///
    /// Throws afterwards if it is not the whole list.
    func printList<Element>() throws where Answer == AdminList<Element> {
        print()
        try checkWhole()
    }

    /// Prints a list as a table; `cells` turns each element into a row.
    func printTable<Element>(
        _ columns: [TextTable.Column], _ cells: (Element) -> [String]
    ) throws where Answer == AdminList<Element> {
        TextTable(columns, answer.elements.map(cells)).print()
        try checkWhole()
    }

    private func checkWhole<Element>() throws where Answer == AdminList<Element> {
        for number in answer.late {
            Output.complain("event loop \(number) does not respond; its part of the list is missing")
        }
        Output.complain(ofMissing: answer.missing, "its part of the list is missing")
        if answer.isTruncated { throw Failure.failed("there are too many to list; use a narrower filter") }
        if !answer.late.isEmpty || !answer.missing.isEmpty { throw Incomplete() }
    }
}

extension ConnectionOptions {
    /// Sends one request to the broker's administration and waits for its answer.
    func ask<Request: AdminRequest>(_ request: Request) async throws -> AdminResult<Request.Answer> {
        let admin = try await AdminConnection(self)
        let result = try await admin.ask(request)
        await admin.close()
        return result
    }
}

extension AdminReply {
    /// Reads an answer.
    init(understanding bytes: [UInt8]) throws(Failure) {
        do throws(JSONError) { try self.init(bytes) } catch { throw .notUnderstood(error) }
    }

    /// The answer; throws if it is a refusal.
    var success: Answer {
        get throws(Failure) {
            switch outcome {
            case .success(let answer): return answer
            case .failure(let refusal): throw .failed("\(refusal.message) (\(refusal.code))")
            }
        }
    }
}

extension Output {
    /// Reports the brokers of a cluster that have not answered, and what that means.
    static func complain(ofMissing names: [String], _ consequence: String) {
        for name in names {
            guard name != "*" else {
                complain(
                    "the other brokers of the cluster are unknown, because this one has had no connection to the engine "
                        + "since its start; they are left out")
                continue
            }
            complain(printable("broker \(name) does not respond; \(consequence)"))
        }
    }
}

/// A command did only a part of its work, and has said so; the exit status is 1.
struct Incomplete: Error {}
