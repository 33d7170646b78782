/// Reads the response to a client's only request: its head, and the body of a refusal if it is short.
package struct AnswerReader {
    /// A complete response, or the part of it that has arrived.
    package struct Answer {
        package let head: HTTPResponseHead
        /// Empty if there is none, or if it has an unknown or too great length.
        package var body: [UInt8] = []
    }

    /// The longest head, and the longest body, to read, in bytes.
    private static let maximumHead = 16 * 1024
    private static let maximumBody = 64 * 1024

    /// Whether a response with that status consists only of its head.
    private let isAccepting: (Int) -> Bool
    private var length = 0
    /// A refusal whose body is incomplete.
    package private(set) var begun: Answer?

    /// - Parameter isAccepting: whether a status opens what was requested, so that no body follows.
    package init(isAccepting: @escaping (Int) -> Bool) { self.isAccepting = isAccepting }

    /// Takes bytes; returns how many it used, and the response once it is complete.
    package mutating func take(
        _ bytes: UnsafeRawBufferPointer
    ) throws(HTTPParseError) -> (byteCount: Int, answer: Answer?) {
        var taken = 0
        while begun == nil {
            let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[taken...])
            guard let (head, count) = try unsafe HTTPHeadParser.parseResponse(rest, maximumHeadSize: Self.maximumHead)
            else { return (taken, nil) }
            taken += count
            // RFC 9110 §15.2: interim responses may precede the final one.
            if (100..<200).contains(head.status), !isAccepting(head.status) { continue }
            length = head.fields.only("Content-Length").flatMap { Int($0) } ?? 0
            guard !isAccepting(head.status), (1...Self.maximumBody).contains(length) else {
                return (taken, Answer(head: head))
            }
            begun = Answer(head: head)
        }
        guard var answer = begun else { return (taken, nil) }
        let part = min(bytes.count - taken, length - answer.body.count)
        unsafe answer.body.append(contentsOf: bytes[taken..<taken + part])
        begun = answer
        return (taken + part, answer.body.count == length ? answer : nil)
    }
}
