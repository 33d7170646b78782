/// Why a head or a body is refused.
package enum HTTPParseError: Error, Equatable, Sendable {
    /// Malformed or ambiguous; the text says what, and where. Answer 400.
    case badRequest(String)
    /// The head exceeds its limit, in bytes or fields. Answer 431.
    case headTooLarge
    /// The request line alone exceeds the limit of a head. Answer 414.
    case targetTooLong
    /// A version other than HTTP/1.0 and HTTP/1.1. Answer 505.
    case versionNotSupported
    /// A body in a transfer coding other than chunks. Answer 501.
    case codingNotSupported(String)

    /// The status to answer with.
    package var status: Int {
        switch self {
        case .badRequest: 400
        case .headTooLarge: 431
        case .targetTooLong: 414
        case .versionNotSupported: 505
        case .codingNotSupported: 501
        }
    }

    /// A phrase for people, if a server's response is refused.
    package var inAnswer: String {
        switch self {
        case .badRequest(let what): "it is not HTTP: \(what)"
        case .headTooLarge, .targetTooLong: "its head is too long"
        case .versionNotSupported: "its version is not HTTP/1.1"
        case .codingNotSupported(let what): "its body cannot be read: \(what)"
        }
    }
}
