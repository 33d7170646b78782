internal import Synchronization
package import WSTransport

/// A shard's mailbox, and how much in it is not delivered yet.
///
/// A reactor that fans out to many connections can be slower than another that only publishes. What waits between them is
/// bounded: beyond ``maximumUndelivered`` the publishers' connections are not read any further, and beyond
/// ``mostUndelivered``, which only many who publish for the first time reach, publications are refused.
package final class Inbox: Sendable {
    /// In bytes of payload and some for each message.
    static let maximumUndelivered = 16 << 20
    /// In the same bytes: publishers may come and go so that pausing their connections does not help.
    static let mostUndelivered = 64 << 20

    let shard: Int
    let mailbox: Mailbox<Letter>
    private let undelivered = Atomic<Int>(0)

    package init(shard: Int, mailbox: Mailbox<Letter>) {
        self.shard = shard
        self.mailbox = mailbox
    }

    /// Puts messages in.
    ///
    /// Any thread; `waking` as in ``Mailbox/post(_:waking:)``.
    func post(_ messages: [Message], bytes: Int, waking: Bool) {
        undelivered.add(bytes, ordering: .relaxed)
        mailbox.post(.published(messages), waking: waking)
    }

    /// Takes note that messages have been handed to their connections.
    func delivered(_ messages: [Message]) {
        undelivered.subtract(Self.bytes(of: messages), ordering: .relaxed)
    }

    var isCongested: Bool { undelivered.load(ordering: .relaxed) > Self.maximumUndelivered }

    var isFull: Bool { undelivered.load(ordering: .relaxed) > Self.mostUndelivered }

    /// What messages count for, in bytes.
    static func bytes(of messages: [Message]) -> Int {
        messages.reduce(0) { $0 + $1.weight }
    }
}
