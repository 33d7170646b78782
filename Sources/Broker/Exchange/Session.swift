package import WSTransport

/// What fan-out knows of one subscription: the tree's entry.
package struct Subscriber: TreeEntry {
    package let subscription: UInt32
    /// The connection's place in the reactor's tables.
    package let slot: UInt32
    package let form: WireForm
    /// The form's number, and whether it is deaf, in one byte for fan-out to compare.
    let kind: UInt8

    package init(subscription: UInt32, slot: UInt32, form: WireForm, isDeaf: Bool) {
        self.subscription = subscription
        self.slot = slot
        self.form = form
        kind = Self.kind(form) | (isDeaf ? Self.deaf : 0)
    }

    /// Does not get what its own connection published.
    package var isDeaf: Bool { kind & Self.deaf != 0 }

    private static var deaf: UInt8 { 0x80 }

    /// The kind of those of `form` that hear themselves.
    static func kind(_ form: WireForm) -> UInt8 { form.rawValue }
}

/// One connected client in its protocol.
///
/// Runs on its reactor's thread.
package protocol Session: AnyObject {
    var client: Client { get }
    var stream: StreamConnection { get }
    var form: WireForm { get }
    /// What it subscribes to, and what is under way for it.
    var subscriptions: SubscriptionSet { get }
    /// The round-trip time of the last PING, in nanoseconds; `nil`: not known.
    var roundTrip: Int64? { get }

    /// Sends a retained value of a snapshot.
    func sendSnapshot(_ message: Message)

    /// Sends the marker that ends the retained part.
    func sendLive(_ filter: TopicFilter, seq: UInt64)

    /// Says that messages were not delivered and will not be.
    ///
    /// - Parameter isResuming: they came before the subscription began.
    func sendGap(_ filter: TopicFilter, _ gap: Gap, isResuming: Bool)

    /// Says that a subscription has ended, as its right has been taken away.
    func revoked(_ filter: TopicFilter, _ refusal: Refusal)

    /// Ends it because it does not take what it is sent.
    func closeSlow(_ reason: String)

    /// Ends it with a close code and a reason.
    func disconnect(_ code: CloseCode, reason: String)

    /// The settings have been read again: its limits are those of its shard now.
    func takeOverLimits()
}
