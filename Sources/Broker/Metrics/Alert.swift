/// An alerting rule for Prometheus.
package struct Alert: Sendable {
    package enum Severity: String, Sendable {
        /// An operator must act now.
        case critical
        /// An operator must act today.
        case warning
    }

    package let name: String
    package let severity: Severity
    /// An expression that is true if something is wrong.
    package let expression: String
    /// How long the expression must be true, in minutes.
    package let minutes: Int
    package let summary: String
    /// What to do first.
    package let action: String

    /// All rules.
    package static let all: [Alert] = [
        Alert(
            name: "BrokerStoreFails", severity: .critical,
            expression: "increase(broker_store_failures_total[5m]) > 0", minutes: 0,
            summary: "The store does not accept messages.",
            action:
                "brokerctl events --kind store-failed says why; brokerctl status shows how full the store and the disk are."
        ),
        Alert(
            name: "BrokerStoreNearlyFull", severity: .warning,
            expression: "broker_store_used_bytes / broker_store_maximum_bytes > 0.85", minutes: 10,
            summary: "The store is nearly as large as store.maximum_size allows.",
            action:
                """
                brokerctl retained list and brokerctl topics show what is kept; raise store.maximum_size, or keep \
                less.
                """
        ),
        Alert(
            name: "BrokerStoreDamaged", severity: .critical,
            expression: "increase(broker_store_damaged_records_total[1h]) > 0", minutes: 0,
            summary: "Records in the store cannot be read.",
            action: "Check the disk, and restore the last backup into another broker."),
        Alert(
            name: "BrokerOutOfCluster", severity: .critical,
            expression: "broker_cluster_ready == 0", minutes: 1,
            summary: "A broker does not follow the log of its cluster.",
            action: "brokerctl cluster says why; docs/cluster.md says what to do."),
        Alert(
            name: "BrokersDiffer", severity: .critical,
            expression: "broker_cluster_differing_nodes > 0", minutes: 0,
            summary: "Brokers of a cluster have different states after the same log.",
            action:
                "brokerctl cluster nodes shows which; stop the one that differs, remove its broker.mdb, and start it: it gets a copy."
        ),
        Alert(
            name: "BrokerCommitsSlow", severity: .warning,
            expression:
                "histogram_quantile(0.99, sum by (le, instance) (rate(broker_store_commit_duration_seconds_bucket[5m]))) > 0.5",
            minutes: 10,
            summary: "More than 1 in 100 commits take longer than half a second.",
            action: "Something else uses the disk, or it is about to fail."),
        Alert(
            name: "BrokerDeliverySlow", severity: .warning,
            expression:
                "histogram_quantile(0.99, sum by (le, instance) (rate(broker_delivery_duration_seconds_bucket[5m]))) > 0.25",
            minutes: 10,
            summary: "More than 1 in 100 deliveries take longer than a quarter of a second.",
            action:
                """
                brokerctl top shows which clients send and receive most; broker_loop_lag_seconds shows whether a loop \
                is busy.
                """
        ),
        Alert(
            name: "BrokerLoopLag", severity: .warning,
            expression:
                "histogram_quantile(0.99, sum by (le, instance) (rate(broker_loop_lag_seconds_bucket[5m]))) > 0.1",
            minutes: 10,
            summary: "Turns of an event loop take longer than a tenth of a second.",
            action: "The machine has too few processors for the load, or the process is suspended at times."),
        Alert(
            name: "BrokerMemoryNearLimit", severity: .warning,
            expression: "broker_held_bytes > 0.8 * broker_held_limit_bytes and broker_held_limit_bytes > 0",
            minutes: 2,
            summary: "Clients hold nearly as much memory as limits.memory allows, so new ones are refused.",
            action: "brokerctl clients --sort pending shows which clients hold it."),
        Alert(
            name: "BrokerRefusesConnections", severity: .warning,
            expression: "increase(broker_connections_refused_total[5m]) > 0", minutes: 5,
            summary: "Connections are refused because a limit is reached.",
            action: "brokerctl events --kind refused names the limit and the addresses."),
        Alert(
            name: "BrokerDescriptorsNearLimit", severity: .warning,
            expression: "process_open_fds / process_max_fds > 0.85", minutes: 5,
            summary: "The process has nearly reached its limit of open descriptors.",
            action: "Raise LimitNOFILE of the service, or lower limits.connections."),
        Alert(
            name: "BrokerClientsBehind", severity: .warning,
            expression: "broker_clients_behind > 10 and broker_clients_behind > 0.05 * broker_clients", minutes: 10,
            summary: "More than 1 in 20 clients do not keep up.",
            action:
                """
                brokerctl clients --where 'behind = yes' lists them; brokerctl events --kind slow,gap shows since \
                when.
                """
        ),
        Alert(
            name: "BrokerInternalErrors", severity: .critical,
            expression: "increase(broker_errors_total{code=\"internal\"}[5m]) > 0", minutes: 0,
            summary: "Clients get internal errors.",
            action: "The log says which; report it."),
        Alert(
            name: "BrokerWrongCredentials", severity: .warning,
            expression: "sum by (instance) (rate(broker_auth_total{result=\"failed\"}[5m])) > 1", minutes: 10,
            summary: "Wrong credentials arrive continuously.",
            action: "brokerctl audit shows where they come from; brokerctl bans add bans an address."),
        Alert(
            name: "BrokerCertificateEnds", severity: .warning,
            expression: "broker_certificate_expiry_timestamp_seconds - time() < 14 * 86400", minutes: 60,
            summary: "A certificate expires in less than 14 days.",
            action: "Renew it: the broker loads the changed file automatically."),
        Alert(
            name: "BrokerReloadFailed", severity: .warning,
            expression: "broker_config_last_reload_successful == 0", minutes: 0,
            summary: "The last reload failed; the old configuration stays in force.",
            action: "brokerctl config check FILE says what is wrong with it."),
        Alert(
            name: "BrokerBackupOld", severity: .warning,
            expression: "time() - broker_last_backup_timestamp_seconds > 2 * 86400", minutes: 60,
            summary: "The last backup is older than two days.",
            action: "Check the timer that runs brokerctl backup."),
        Alert(
            name: "BrokerAuditLost", severity: .warning,
            expression: "increase(broker_audit_lines_dropped_total[15m]) > 0", minutes: 0,
            summary: "Lines of the audit log are lost.",
            action: "Check the disk of log.audit."),
    ]

    /// The names of the metrics in an expression.
    package var metrics: Set<String> {
        Set(expression.matches(of: /(?:broker|process)_[a-z_]+/).map { String($0.output) })
    }
}
