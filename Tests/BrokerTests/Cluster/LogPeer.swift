@testable import Broker
@testable import WSTransport

/// One of several brokers that share a log: no sockets, two shards, and the store's thread.
final class LogPeer<Engine: LogEngine> {
    let engine: Engine
    let order: LogOrder
    private let sequencer: Sequencer
    private let thread: StoreThread
    private let own: [Mailbox<ShardEvent>]
    private let all = Mailbox<ShardEvent>(wakeup: {})
    /// The results of each shard's drafts, in their order.
    private(set) var allResults: [[String]] = [[], []]
    /// Those of the first shard.
    var results: [String] { allResults[0] }
    /// The messages, in order.
    private(set) var messages: [Message] = []
    private(set) var submitted = 0

    /// - Parameter wakeup: called when results have arrived, on any thread.
    init(node: UInt64, engine: Engine, wakeup: @escaping @Sendable () -> Void = {}) throws {
        self.engine = engine
        own = (0..<2).map { _ in Mailbox(wakeup: wakeup) }
        let local = try LocalOrder(store: InMemoryStore())
        let sequencer = local.sequencer
        self.sequencer = sequencer
        thread = StoreThread(
            store: sequencer.store, maximumQueuedBytes: 64 << 20,
            onSettled: { [weak sequencer] in sequencer?.settled($0) })
        try thread.start()
        local.attach(thread)
        var limits = LogOrder.Limits()
        limits.outstanding = 5
        order = try LogOrder(sequencer, engine: engine, node: node, incarnation: 1, limits: limits)
        // As while brokers are upgraded, each reads both.
        order.format = node.isMultiple(of: 2) ? .brief : .plain
        for (shard, mailbox) in own.enumerated() { sequencer.join(mailbox, shard: shard) }
        sequencer.join(all, shard: -1)
    }

    deinit { thread.stop() }

    func submit(_ drafts: [Draft], from shard: Int = 0) {
        submitted += drafts.count
        order.submit(drafts, from: shard, at: .now)
        look()
    }

    func giveUp() {
        order.giveUp()
        look()
    }

    /// Handles the letters in the mailboxes.
    func look() {
        for (shard, mailbox) in own.enumerated() { look(mailbox, shard) }
        for case .applied(let batch) in all.drain() { messages += batch.messages }
    }

    private func look(_ mailbox: Mailbox<ShardEvent>, _ shard: Int) {
        for case .applied(let batch) in mailbox.drain() where batch.shard == shard {
            var items = batch.items[...]
            for place in 0..<batch.count {
                if let refused = batch.refusals?.list.first(where: { $0.place == place }) {
                    guard case .refused(let refusal) = refused.rejection else { continue }
                    allResults[shard].append(refusal.code.rawValue)
                } else if let item = items.popFirst() {
                    allResults[shard].append(String(decoding: item.message.payload, as: UTF8.self))
                }
            }
        }
    }

    /// The messages as numbers and text.
    var shown: [String] {
        messages.map { "\($0.seq) \($0.topic) \(String(decoding: $0.payload, as: UTF8.self)) \($0.time) \($0.expiry)" }
    }
}
