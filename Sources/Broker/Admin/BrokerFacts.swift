internal import WSTransport

/// What does not change while the broker runs, and the figures, for `brokerctl status`.
package struct BrokerFacts: Sendable {
    package let figures: Figures
    package let listen: [String]
    package let dataDirectory: String
    package let epoch: UInt64
    package let movedAside: String?
    /// Writes a copy of the store to a descriptor, and returns when that is done.
    package let backup: @Sendable (Int32) throws(StorageError) -> Void

    package init(
        figures: Figures, listen: [String], dataDirectory: String, epoch: UInt64, movedAside: String?,
        backup: @escaping @Sendable (Int32) throws(StorageError) -> Void
    ) {
        self.figures = figures
        self.listen = listen
        self.dataDirectory = dataDirectory
        self.epoch = epoch
        self.movedAside = movedAside
        self.backup = backup
    }

    /// - Parameter failure: why the broker is not ready; `nil`: it is.
    func status(_ shard: Shard, failure: String?) -> AdminAnswer {
        AdminAnswer { writer in
            let now = WallClock.unixMilliseconds
            writer.member("server", "broker/\(BrokerVersion.current)")
            writer.member("pid", Machine.processIdentifier)
            writer.member("startedAt", figures.startedAt)
            writer.member("uptimeSeconds", max(0, now - figures.startedAt) / 1000)
            writer.name("listen")
            writer.beginArray()
            for address in listen { writer.string(address) }
            writer.endArray()
            writer.member("dataDirectory", dataDirectory)
            writer.member("reactors", figures.reactors.count)
            writer.member("backend", figures.backend)
            writer.member("connections", figures.connections)
            writer.member("clients", figures.sum { (counters: ShardCounters) in counters.clients.current })
            writer.member("subscriptions", figures.sum { (counters: ShardCounters) in counters.subscriptions.current })
            writer.member("seq", shard.sequencer.newest)
            writer.member("epoch", epoch)
            writer.member("published", figures.sum { (counters: ShardCounters) in counters.published.current })
            writer.member("delivered", figures.sum { (counters: ShardCounters) in counters.delivered.current })
            if let statistics = figures.storeStatistics {
                writer.name("retained")
                writer.beginObject()
                writer.member("values", statistics.values)
                writer.member("payloadBytes", statistics.payloadBytes)
                writer.endObject()
                writer.name("history")
                writer.beginObject()
                writer.member("messages", statistics.historyMessages)
                writer.member("payloadBytes", statistics.historyBytes)
                writer.endObject()
                writer.name("store")
                writer.beginObject()
                writer.member("usedBytes", statistics.usedBytes)
                writer.member("maximumBytes", statistics.maximumBytes)
                writer.member("fileBytes", statistics.fileBytes)
                writer.member("views", statistics.views)
                writer.endObject()
            }
            writer.member("maximumQuestion", AdminSession.maximumQuestion(shard.settings.limits))
            writer.member("memoryBytes", Machine.residentBytes)
            writer.member("ready", failure == nil)
            if let failure { writer.member("reason", failure) }
            if let movedAside { writer.member("movedAside", movedAside) }
        }
    }
}
