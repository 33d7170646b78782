/// The refusal of a request; if a handler throws it, it becomes the response.
public struct HTTPRefusal: Error, Sendable {
    /// The status, such as 403.
    public var status: Int
    /// A code for programs, such as `bad-topic`; if empty, the server's code for the status is used.
    public var code: String
    /// A sentence for people that says what is wrong, and where.
    public var message: String
    /// Fields that are added to the response.
    public var fields: HeaderFields

    /// Whether the body exceeds its limit.
    package var isBodyTooLong = false

    /// Creates a refusal.
    public init(status: Int, code: String = "", message: String, fields: HeaderFields = [:]) {
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields
    }
}
