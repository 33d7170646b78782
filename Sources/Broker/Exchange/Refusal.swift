/// The error codes of the broker, for programs.
///
/// Part of the protocol.
package enum ErrorCode: String, Sendable, CaseIterable {
    case badRequest = "bad-request"
    case badTopic = "bad-topic"
    case badFilter = "bad-filter"
    case unauthenticated
    case forbidden
    case notFound = "not-found"
    case conflict
    case tooLarge = "too-large"
    case limitExceeded = "limit-exceeded"
    case rateLimited = "rate-limited"
    case `internal`
    case unavailable
    case storageFull = "storage-full"

    /// The HTTP status that goes with it.
    package var status: Int {
        switch self {
        case .badRequest, .badTopic, .badFilter: 400
        case .unauthenticated: 401
        case .forbidden: 403
        case .notFound: 404
        case .conflict: 412
        case .tooLarge: 413
        case .limitExceeded, .rateLimited: 429
        case .internal: 500
        case .unavailable: 503
        case .storageFull: 507
        }
    }

    /// The code that fits a bare HTTP status best.
    package init(status: Int) {
        self =
            switch status {
            case 401: .unauthenticated
            case 403: .forbidden
            case 404: .notFound
            case 412: .conflict
            case 413, 414, 431: .tooLarge
            case 429: .limitExceeded
            case 503: .unavailable
            case 507: .storageFull
            // The server does not support the request, which is the client's fault.
            case 501, 505: .badRequest
            case 500...: .internal
            default: .badRequest
            }
    }
}

/// A refused command: a code for programs, a sentence for people.
package struct Refusal: Error, Sendable, Equatable {
    package let code: ErrorCode
    package let message: String
    /// The name of the setting whose limit is reached, such as `publish.keys`; `nil` if none is known.
    package let limit: String?

    /// The longest sentence, in scalars: a client's text, which some sentences repeat, may be as long as a frame.
    private static let maximumMessage = 4096

    package init(_ code: ErrorCode, _ message: String) { self.init(code, message, limit: nil) }

    private init(_ code: ErrorCode, _ message: String, limit: String?) {
        (self.code, self.limit) = (code, limit)
        self.message =
            message.utf8.count <= Self.maximumMessage
            ? message : String(String.UnicodeScalarView(message.unicodeScalars.prefix(Self.maximumMessage))) + "…"
    }

    /// The refusal of what would exceed the limit that a setting of this name sets.
    init(limit: String) { self.init(.limitExceeded, "The limit \(limit) is reached.", limit: limit) }

    /// The refusal for a message that the store did not take.
    package init(_ error: StorageError) {
        switch error {
        case .full: self.init(.storageFull, "The store is full.")
        case .limit(let name): self.init(limit: name)
        case .damaged, .inUse, .newer: self.init(.internal, "The store failed: \(error).")
        case .busy: self.init(.unavailable, "Temporarily, \(error); try again.")
        case .system: self.init(.unavailable, "The store failed: \(error).")
        }
    }

    /// The refusal for a message that was sent to the present subscribers before the store did not take it.
    init(afterDelivery error: StorageError) {
        let refusal = Refusal(error)
        self.init(
            refusal.code, refusal.message + " The message was delivered to subscribers, but is not stored.",
            limit: refusal.limit)
    }

    /// The limit's name is a part of the sentence.
    package static func == (left: Self, right: Self) -> Bool {
        left.code == right.code && left.message == right.message
    }
}
