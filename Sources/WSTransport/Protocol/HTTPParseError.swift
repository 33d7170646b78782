/// Why a head or a body is refused.
package enum HTTPParseError: Error, Equatable, Sendable {
    /// Malformed or ambiguous; what, and where. Answer 400.
    case badRequest(String)
    /// The head is above its limit, in bytes or fields. Answer 431.
    case headTooLarge
    /// The request line alone is above the limit of a head. Answer 414.
    case targetTooLong
    /// Neither HTTP/1.0 nor HTTP/1.1. Answer 505.
    case versionNotSupported

    /// The status to answer with.
    package var status: Int {
        switch self {
        case .badRequest: 400
        case .headTooLarge: 431
        case .targetTooLong: 414
        case .versionNotSupported: 505
        }
    }
}
