internal import WSTransport

extension MetricTable {
    static func storage(_ table: inout MetricTable) {
        table.add("broker_store_commits_total", .counter, "Transactions synced to disk.") { reading in
            reading.figures.storeThread.statistics.commits
        }
        table.add("broker_store_messages_total", .counter, "Messages written to disk since the start.") { reading in
            reading.figures.storeThread.statistics.messagesCommitted
        }
        table.add("broker_store_failures_total", .counter, "Messages that the store refused.") { reading in
            reading.figures.storeThread.statistics.messagesFailed
        }
        table.add("broker_store_queue_messages", .gauge, "Messages that wait for the disk.") { reading in
            reading.figures.storeThread.statistics.queueDepth
        }
        table.add("broker_store_queue_bytes", .gauge, "Messages that wait for the disk, in bytes.") { reading in
            reading.figures.storeThread.statistics.queuedBytes
        }
        table.add(
            "broker_store_commit_seconds", .gauge, "How long the last commit took, in seconds.",
            fraction: { reading in Double(reading.figures.storeThread.statistics.lastCommitMicroseconds) / 1e6 })
        table.add(
            "broker_store_commit_duration_seconds", "How long commits took, including their sync, in seconds.",
            unit: 1e-6
        ) { [$0.figures.storeThread.commitTimes] }
        table.add("broker_store_commit_messages", "Messages that shared a commit and its sync.", unit: 1) {
            [$0.figures.storeThread.commitMessages]
        }
        table.add("broker_retained_messages", .gauge, "Retained values.") { reading in reading.store?.values }
        table.add("broker_retained_bytes", .gauge, "Payload of the retained values, in bytes.") { reading in
            reading.store?.payloadBytes
        }
        table.add("broker_history_messages", .gauge, "Messages in the history.") { reading in
            reading.store?.historyMessages
        }
        table.add("broker_history_bytes", .gauge, "Payload of the messages in the history, in bytes.") { reading in
            reading.store?.historyBytes
        }
        table.add("broker_store_used_bytes", .gauge, "Used bytes of the store on disk.") { reading in
            reading.store?.usedBytes
        }
        table.add(
            "broker_store_maximum_bytes", .gauge, "Maximum bytes of the store on disk (store.maximum_size)."
        ) { reading in reading.store?.maximumBytes }
        table.add(
            "broker_store_file_bytes", .gauge,
            "Size of the file of the store, including its free pages, in bytes."
        ) {
            reading in reading.store?.fileBytes
        }
        table.add("broker_store_views", .gauge, "Snapshots of the store that new subscribers hold.") {
            reading in reading.store?.views
        }
        table.add(
            "broker_store_views_taken_back_total", .counter,
            "Snapshots ended early, because they kept too many pages or lasted too long."
        ) { reading in reading.store?.viewsTakenBack }
        table.add("broker_store_damaged_records_total", .counter, "Stored records that could not be read.") { reading in
            reading.store?.damagedRecords
        }
        table.add(
            "broker_store_reopenings_total", .counter,
            "Times the store's file was opened again after a failure of the disk."
        ) { reading in reading.store?.reopenings }
        table.add(
            "broker_last_backup_timestamp_seconds", .gauge,
            "When the last backup was complete, in Unix seconds; missing if there was none since the start.",
            fraction: { reading in
                reading.figures.operations.lastBackup.map { Double($0) / 1000 }
            })
    }

    static func process(_ table: inout MetricTable) {
        table.add(
            "broker_build_info", .gauge, "1, with the version.", by: "version",
            each: { reading in
                [("{version=\"\(reading.figures.version)\"}", 1)]
            })
        table.add(
            "broker_certificate_expiry_timestamp_seconds", .gauge,
            "When the first certificate of a listener expires, in Unix seconds; missing without TLS.",
            fraction: { reading in
                reading.figures.operations.certificateEnd.map { Double($0) }
            })
        table.add(
            "broker_config_last_reload_successful", .gauge,
            "Whether the last reload succeeded: 1, or 0; 1 before there was one."
        ) { reading in
            reading.figures.operations.lastReload?.isSuccessful ?? true ? 1 : 0
        }
        table.add(
            "broker_config_last_reload_timestamp_seconds", .gauge,
            "When the last reload ended, in Unix seconds; missing if there was none since the start.",
            fraction: { reading in
                reading.figures.operations.lastReload.map { Double($0.time) / 1000 }
            })
        table.add(
            "process_cpu_seconds_total", .counter, "CPU time used, in seconds.",
            fraction: { _ in
                Double(processCPUNanoseconds()) / 1e9
            })
        table.add("process_resident_memory_bytes", .gauge, "Resident memory, in bytes.") { _ in Machine.residentBytes }
        table.add(
            "process_start_time_seconds", .gauge, "When the broker started, in Unix seconds.",
            fraction: { reading in
                Double(reading.figures.startedAt) / 1000
            })
        table.add("process_open_fds", .gauge, "Open descriptors; missing if the kernel does not report them.") { _ in
            Machine.openDescriptors
        }
        table.add("process_max_fds", .gauge, "Maximum number of open descriptors.") { _ in Machine.descriptorLimit }
    }
}
