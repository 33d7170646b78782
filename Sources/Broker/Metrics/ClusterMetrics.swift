internal import WSTransport

/// The figures that each broker of a cluster reports to the others, to be added up.
package struct ClusterFigures: Sendable, Equatable {
    package var clients = 0
    package var subscriptions = 0
    /// Messages that its clients have published, and messages that were sent to them, since its start.
    package var received = 0
    package var sent = 0

    package init() {}

    package init(_ figures: Figures) {
        clients = figures.clients
        subscriptions = figures.sum { (counters: ShardCounters) in counters.subscriptions.current }
        received = figures.sum { (counters: ShardCounters) in counters.published.current }
        sent = figures.sum { (counters: ShardCounters) in
            counters.delivered.current + counters.snapshots.current + counters.replayed.current
        }
    }

    package static func += (sum: inout ClusterFigures, more: ClusterFigures) {
        sum.clients = sum.clients.addingReportingOverflow(more.clients).partialValue
        sum.subscriptions = sum.subscriptions.addingReportingOverflow(more.subscriptions).partialValue
        sum.received = sum.received.addingReportingOverflow(more.received).partialValue
        sum.sent = sum.sent.addingReportingOverflow(more.sent).partialValue
    }
}

/// The figures of a broker in a cluster, at one moment.
package struct ClusterReading: Sendable {
    /// The name of the broker.
    package var name: String
    package var isReady = false
    package var isActive = false
    package var term: UInt64 = 0
    package var position: UInt64 = 0
    package var top: UInt64 = 0
    /// How long the last canary took, in seconds; `nil` if none has come back.
    package var lag: Double?
    /// How long ago it came back, in seconds.
    package var silence: Double?
    package var waiting = 0
    /// The format of the records that it appends.
    package var format = 1
    package var nodes = 0
    package var living = 0
    package var appends: UInt64 = 0
    package var appendedBytes: UInt64 = 0
    package var entries: UInt64 = 0
    package var readBytes: UInt64 = 0
    package var failures: UInt64 = 0
    package var terms: UInt64 = 0
    package var restored: UInt64 = 0
    package var surrenders: UInt64 = 0
    /// The figures of all living brokers, with their names.
    package var figures: [(name: String, figures: ClusterFigures)] = []
    package var copies: UInt64 = 0
    package var differing = 0
    /// Living brokers whose file has other rules than those in force.
    package var differingFiles = 0
    /// Messages that were no longer in any log: sent again, or not sent because another message had replaced them, or
    /// refused.
    package var undone = (sent: 0, replaced: 0, refused: 0)

    /// Requests of administrators between brokers, by outcome.
    package var requests: [(outcome: String, count: Int)] = []

    /// By partition; empty: there is one log.
    package var logs: [Log] = []

    /// The figures of one of several logs.
    package struct Log: Sendable {
        package var isActive: Bool
        package var term: UInt64
        package var position: UInt64
        package var top: UInt64
        package var waiting: Int
        package var failures: UInt64
    }

    package init(name: String) { self.name = name }
}

extension MetricTable {
    static func cluster(_ table: inout MetricTable) {
        func add(
            _ name: String, _ kind: Metric.Kind, _ help: String, _ read: @escaping @Sendable (ClusterReading) -> UInt64
        ) {
            table.add(name, kind, help) { reading in reading.cluster.map { Int(clamping: read($0)) } }
        }
        table.add(
            "broker_cluster_info", .gauge, "1, with this broker's name.", by: "node",
            each: { reading in
                reading.cluster.map { cluster in
                    let name = cluster.name.filter { $0 != "\"" && $0 != "\\" && !$0.isNewline }
                    return [("{node=\"\(name)\"}", 1)]
                } ?? []
            })
        table.add(
            "broker_cluster_clients", .gauge, "Clients of each living broker, as it last reported.",
            by: "node",
            each: { reading in
                reading.cluster?.figures.map { one in
                    let name = one.name.filter { $0 != "\"" && $0 != "\\" && !$0.isNewline }
                    return ("{node=\"\(name)\"}", one.figures.clients)
                } ?? []
            })
        add("broker_cluster_ready", .gauge, "1: the log is followed without delay; 0: /health/ready says why not.") {
            $0.isReady ? 1 : 0
        }
        add("broker_cluster_active", .gauge, "1: the engine accepts publications; 0: it does not.") {
            $0.isActive ? 1 : 0
        }
        add("broker_cluster_term", .gauge, "The term for which the engine accepts publications.") { $0.term }
        add("broker_cluster_position", .gauge, "The number up to which the log is applied here.") { $0.position }
        add("broker_cluster_top", .gauge, "The newest number of the log, as far as it is known here.") { $0.top }
        add(
            "broker_cluster_record_format", .gauge,
            "The format of the records that this broker appends: the newest one that all brokers read."
        ) { UInt64($0.format) }
        table.add(
            "broker_cluster_lag_seconds", .gauge,
            "How long the last message of this broker to itself took through the log, in seconds; one is sent each second.",
            fraction: { $0.cluster?.lag })
        table.add(
            "broker_cluster_silence_seconds", .gauge,
            "How long ago the last message of this broker to itself came back, in seconds; above cluster.lease this broker is not ready.",
            fraction: { $0.cluster?.silence })
        table.add(
            "broker_cluster_waiting_records", .gauge, "Records of this broker that have not come back from the log yet."
        ) {
            $0.cluster?.waiting
        }
        table.add("broker_cluster_nodes", .gauge, "Brokers that the engine knows of.") { $0.cluster?.nodes }
        table.add("broker_cluster_living_nodes", .gauge, "Brokers that were heard from within cluster.lease.") {
            $0.cluster?.living
        }
        add(
            "broker_cluster_appends_total", .counter, "Records sent to the engine, including repeated ones."
        ) {
            $0.appends
        }
        add("broker_cluster_appended_bytes_total", .counter, "Records sent to the engine, in bytes.") {
            $0.appendedBytes
        }
        add("broker_cluster_entries_total", .counter, "Entries read from the log.") { $0.entries }
        add("broker_cluster_read_bytes_total", .counter, "Entries read from the log, in bytes.") { $0.readBytes }
        add("broker_cluster_failures_total", .counter, "Times the engine was lost.") { $0.failures }
        add("broker_cluster_terms_total", .counter, "Terms that have begun since this broker started.") { $0.terms }
        add("broker_cluster_restored_total", .counter, "Entries that this broker has restored in the log.") {
            $0.restored
        }
        add(
            "broker_cluster_surrenders_total", .counter,
            "Times publications were refused after cluster.publish_timeout."
        ) {
            $0.surrenders
        }
        add(
            "broker_cluster_copies_total", .counter,
            "Copies of the store that this broker has begun to give to other brokers."
        ) {
            $0.copies
        }
        table.add(
            "broker_cluster_undone_total", .counter,
            "Messages that this broker had acknowledged and that were no longer in any log, by outcome.",
            by: "outcome",
            each: { reading in
                reading.cluster.map { cluster in
                    [
                        ("{outcome=\"sent\"}", cluster.undone.sent),
                        ("{outcome=\"replaced\"}", cluster.undone.replaced),
                        ("{outcome=\"refused\"}", cluster.undone.refused),
                    ]
                } ?? []
            })
        table.add(
            "broker_cluster_requests_total", .counter,
            """
            Requests of administrators between brokers, by outcome: sent; incomplete: not all brokers answered in time; refused: \
            256 were open; ignored: 64 of others were being answered; oversized: more than 32 MiB.
            """,
            by: "outcome",
            each: { reading in
                reading.cluster?.requests.map { ("{outcome=\"\($0.outcome)\"}", $0.count) } ?? []
            })
        table.add(
            "broker_cluster_differing_files", .gauge,
            "Living brokers whose configuration file has other rules than those in force: reload the one that has the right ones."
        ) {
            $0.cluster?.differingFiles
        }
        table.add(
            "broker_cluster_differing_nodes", .gauge,
            "Living brokers whose state differs from this one's after the same log; above 0 only if one has a fault."
        ) {
            $0.cluster?.differing
        }
        partitions(&table)
    }

    /// The figures of each of several logs; those without a label are then the first log's.
    private static func partitions(_ table: inout MetricTable) {
        func add(
            _ name: String, _ kind: Metric.Kind, _ help: String, _ read: @escaping @Sendable (ClusterReading.Log) -> Int
        ) {
            table.add(
                "broker_cluster_partition_\(name)", kind, help, by: "partition",
                each: { reading in
                    (reading.cluster?.logs ?? []).enumerated().map { place, log in
                        ("{partition=\"\(place)\"}", read(log))
                    }
                })
        }
        add("active", .gauge, "1: the engine of the partition accepts publications; 0: it does not.") {
            $0.isActive ? 1 : 0
        }
        add("term", .gauge, "The term for which the engine of the partition accepts publications.") {
            Int(clamping: $0.term)
        }
        add("position", .gauge, "The number up to which the log of the partition is applied here.") {
            Int(clamping: $0.position)
        }
        add("top", .gauge, "The newest number of the log of the partition, as far as it is known here.") {
            Int(clamping: $0.top)
        }
        add("waiting_records", .gauge, "Records that have not come back from the log of the partition yet.") {
            $0.waiting
        }
        add("failures_total", .counter, "Times the engine of the partition was lost.") { Int(clamping: $0.failures) }
    }
}
