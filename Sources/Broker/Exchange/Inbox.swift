internal import Synchronization
package import WSTransport

/// A shard's mailbox, with the size of what is not delivered yet.
///
/// A reactor that fans out to many connections can be slower than one that only publishes. What waits between them is
/// bounded: beyond ``maximumUndelivered`` the publishers' connections are not read, and beyond
/// ``mostUndelivered``, which only many new publishers can reach, publications are refused.
package final class Inbox: Sendable {
    /// In bytes of payload, with an overhead for each message.
    static let maximumUndelivered = 16 << 20
    /// In the same bytes: if publishers come and go, pausing their connections does not help.
    static let mostUndelivered = 64 << 20

    let shard: Int
    let mailbox: Mailbox<Letter>
    private let undelivered = Atomic<Int>(0)

    package init(shard: Int, mailbox: Mailbox<Letter>) {
        self.shard = shard
        self.mailbox = mailbox
    }

    /// Posts messages.
    ///
    /// Any thread; `waking` as in ``Mailbox/post(_:waking:)``.
    func post(_ messages: [Message], bytes: Int, waking: Bool) {
        undelivered.add(bytes, ordering: .relaxed)
        mailbox.post(.published(messages), waking: waking)
    }

    /// Notes that messages have been handed to their connections.
    func delivered(_ messages: [Message]) {
        undelivered.subtract(Self.bytes(of: messages), ordering: .relaxed)
    }

    var isCongested: Bool { undelivered.load(ordering: .relaxed) > Self.maximumUndelivered }

    var isFull: Bool { undelivered.load(ordering: .relaxed) > Self.mostUndelivered }

    /// The weight of messages, in bytes.
    static func bytes(of messages: [Message]) -> Int {
        messages.reduce(0) { $0 + $1.weight }
    }
}
