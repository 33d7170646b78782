/// A refused request: thrown by handlers, it becomes the answer.
public struct HTTPRefusal: Error, Sendable {
    /// The status, such as 403.
    public var status: Int
    /// A code for programs, such as `bad-topic`; empty: the server's own for the status.
    public var code: String
    /// A sentence for people: what is wrong, and where.
    public var message: String
    /// Fields that are added to the answer.
    public var fields: HTTPFields

    /// A refusal made of these parts.
    public init(status: Int, code: String = "", message: String, fields: HTTPFields = [:]) {
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields
    }
}
