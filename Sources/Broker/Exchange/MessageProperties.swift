/// The properties that a publisher sends with a payload, modelled on those of MQTT 5; most messages have none.
///
/// The content type, which most endpoints use, is in the message itself (``Message/contentType``). Immutable.
package final class MessageProperties: Sendable, Equatable {
    /// A name and a value from the publisher; names may repeat, and the order is kept.
    package struct Header: Sendable, Equatable {
        package let name: String
        package let value: String

        package init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    /// The maximum number of headers.
    package static let maximumCount = 256
    /// The maximum size of names and values together, in bytes of UTF-8.
    package static let maximumHeaders = 8 << 10
    /// The maximum size of the correlation data, in bytes.
    package static let maximumCorrelation = 8 << 10

    package let headers: [Header]
    /// The topic to publish an answer to; `nil` if no answer is requested.
    package let replyTo: Topic?
    /// Data that an answer repeats, to match it with the request; `nil` if there is none.
    package let correlation: [UInt8]?

    /// The size of the properties, in bytes.
    var weight: Int {
        headers.reduce(Self.overhead &+ (replyTo?.name.utf8.count ?? 0) &+ (correlation?.count ?? 0)) {
            $0 &+ MemoryLayout<Header>.size &+ $1.name.utf8.count &+ $1.value.utf8.count
        }
    }

    private static let overhead = 64

    /// Throws ``ErrorCode/tooLarge`` if a part is longer than its limit.
    package init(headers: [Header] = [], replyTo: Topic? = nil, correlation: [UInt8]? = nil) throws(Refusal) {
        guard headers.count <= Self.maximumCount else {
            throw Refusal(.tooLarge, "headers: expected up to \(Self.maximumCount), found more.")
        }
        let length = headers.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count }
        guard length <= Self.maximumHeaders else {
            throw Refusal(.tooLarge, "headers: expected up to \(Self.maximumHeaders) bytes, found \(length).")
        }
        if let correlation, correlation.count > Self.maximumCorrelation {
            throw Refusal(
                .tooLarge,
                "correlation: expected up to \(Self.maximumCorrelation) bytes, found \(correlation.count).")
        }
        self.headers = headers
        self.replyTo = replyTo
        self.correlation = correlation
    }

    package static func == (left: MessageProperties, right: MessageProperties) -> Bool {
        left.headers == right.headers && left.replyTo == right.replyTo && left.correlation == right.correlation
    }
}
