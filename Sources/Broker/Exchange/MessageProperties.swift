/// What a publisher sends along with a payload, after the properties of MQTT 5; most messages have none of it.
///
/// The content type, which most endpoints look at, is the message's own (``Message/contentType``). Immutable.
package final class MessageProperties: Sendable, Equatable {
    /// A name and a value of the publisher's own; a name may come several times, and the order is kept.
    package struct Header: Sendable, Equatable {
        package let name: String
        package let value: String

        package init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    /// What names and values may take together, in bytes of UTF-8.
    package static let maximumHeaders = 8 << 10
    /// The longest correlation data, in bytes.
    package static let maximumCorrelation = 8 << 10

    package let headers: [Header]
    /// The topic that an answer is to be published to; `nil`: no answer is asked for.
    package let replyTo: Topic?
    /// What an answer carries so that the asker knows what it answers; `nil`: nothing.
    package let correlation: [UInt8]?

    /// What they hold, in bytes.
    var weight: Int {
        headers.reduce((replyTo?.name.utf8.count ?? 0) &+ (correlation?.count ?? 0)) {
            $0 &+ $1.name.utf8.count &+ $1.value.utf8.count
        }
    }

    /// Throws ``ErrorCode/tooLarge`` where a part is longer than its limit.
    package init(headers: [Header] = [], replyTo: Topic? = nil, correlation: [UInt8]? = nil) throws(Refusal) {
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
