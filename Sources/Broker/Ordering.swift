/// The order of publications, and the store's running thread.
struct Ordering {
    let storeThread: StoreThread
    let sequencer: Sequencer
    let order: any Order
    /// `nil` without a cluster.
    let cluster: ClusterNode?

    /// The maximum that may wait for the disk, in bytes.
    ///
    /// Beyond it retained publications are refused, and reading the log of a cluster pauses.
    private static let storeQueue = 64 << 20

    /// - Parameters:
    ///   - store: locked by this process.
    ///   - watch: sees what happens to messages.
    ///   - bans: receives the bans of a cluster.
    ///   - shared: the rules of a cluster, which the settings contain.
    init(
        _ settings: Settings, _ store: LMDBStore, _ watch: StoreWatch, _ bans: Bans, _ shared: ClusterRules?
    ) throws(BrokerError) {
        let rules = HistoryRules(settings)
        guard let cluster = settings.cluster, let shared else {
            try Self.refuseMember(settings.dataDirectory, store)
            let order = try Broker.wrap { () throws(StorageError) in try LocalOrder(store: store, rules: rules) }
            order.sequencer.adopt(KeyRules(settings))
            storeThread = try Self.startThread(order.sequencer, store, watch)
            order.attach(storeThread)
            (sequencer, self.order, self.cluster) = (order.sequencer, order, nil)
            return
        }
        sequencer = try Broker.wrap { () throws(StorageError) in
            try Sequencer(store: store, rules: rules, partitions: Partitions(cluster.partitions))
        }
        sequencer.adopt(KeyRules(settings), of: 0)
        storeThread = try Self.startThread(sequencer, store, watch)
        sequencer.attach(storeThread)
        do throws(BrokerError) {
            let node = try ClusterNode(
                cluster, sequencer, store, storeThread, bans, directory: settings.dataDirectory,
                storeSize: settings.store.maximumSize, rules: shared)
            (order, self.cluster) = (node.ordering, node)
        } catch {
            storeThread.stop()
            throw error
        }
    }

    private static func startThread(
        _ sequencer: Sequencer, _ store: LMDBStore, _ watch: StoreWatch
    ) throws(BrokerError) -> StoreThread {
        let thread = StoreThread(
            store: store, maximumQueuedBytes: storeQueue,
            onSettled: {
                sequencer.settled($0)
                watch.look(at: $0)
            }, onExpired: { sequencer.announce($0) })
        try Broker.wrap { () throws(StorageError) in try thread.start() }
        return thread
    }

    /// Refuses the directory of a cluster's broker, which would accept messages on its own that no other broker has.
    private static func refuseMember(_ directory: String, _ store: LMDBStore) throws(BrokerError) {
        let mark = try Broker.wrap { () throws(StorageError) in try store.orderMark() }
        guard mark != nil else { return }
        throw BrokerError(
            "the store in \(directory) is that of a broker of a cluster: set cluster, or restore a backup of it elsewhere"
        )
    }
}
