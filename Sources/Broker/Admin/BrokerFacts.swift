internal import WSTransport

/// The facts about the broker that do not change while it runs, and its figures, for administrators.
package struct BrokerFacts: Sendable {
    package let figures: Figures
    package let listen: [String]
    package let dataDirectory: String
    /// The epoch of the store, which adopts that of a cluster.
    let epoch: @Sendable () -> UInt64
    package let movedAside: String?
    /// Writes a copy of the store to a descriptor; returns when the copy is complete.
    package let backup: @Sendable (Int32) throws(StorageError) -> Void
    /// Throws if a file is not a complete copy of a store.
    package let checkBackup: @Sendable (_ path: String) throws(StorageError) -> Void
    /// Changes users and tokens; `nil` if the broker has no users file.
    package let accessFile: AccessFileDesk?
    /// Authenticates tokens; `nil` if none are accepted.
    package let authenticator: (any Authenticator)?
    /// The audit log; `nil` if there is none.
    package let audit: AuditLog?
    /// The events of clients and of the broker; `nil` if none are recorded.
    package let events: EventStream?
    /// The bans in force.
    package let bans: Bans
    /// The level of the log.
    package let logThreshold: LogThreshold
    /// The seconds until the first certificate of a listener expires; `nil` if there are no certificates.
    let certificateSeconds: @Sendable () -> Int?
    /// The certificates of all listeners.
    let certificates: @Sendable () -> [CertificateSummary]
    /// The source of the settings; `nil` if a program supplied them.
    let configuration: ConfigurationDesk?
    /// The result of the last reload.
    package let reloads: Reloads
    /// `nil` without a cluster.
    let cluster: ClusterDesk?
    /// The state that all administrators share.
    let administration = AdminState()

    package init(
        figures: Figures, listen: [String], dataDirectory: String, epoch: @escaping @autoclosure @Sendable () -> UInt64,
        movedAside: String?,
        bans: Bans = Bans(), logThreshold: LogThreshold = LogThreshold(.info),
        accessFile: AccessFileDesk? = nil, authenticator: (any Authenticator)? = nil, audit: AuditLog? = nil,
        configuration: ConfigurationDesk? = nil,
        certificateSeconds: @escaping @Sendable () -> Int? = { nil },
        certificates: @escaping @Sendable () -> [CertificateSummary] = { [] },
        events: EventStream? = nil, cluster: ClusterDesk? = nil,
        backup: @escaping @Sendable (Int32) throws(StorageError) -> Void,
        checkBackup: @escaping @Sendable (_ path: String) throws(StorageError) -> Void = { _ in }
    ) {
        self.figures = figures
        reloads = Reloads(figures.operations)
        self.listen = listen
        self.dataDirectory = dataDirectory
        self.epoch = epoch
        self.movedAside = movedAside
        self.bans = bans
        self.logThreshold = logThreshold
        self.certificateSeconds = certificateSeconds
        self.certificates = certificates
        self.configuration = configuration
        self.accessFile = accessFile
        self.authenticator = authenticator
        self.audit = audit
        self.events = events
        self.cluster = cluster
        self.backup = backup
        self.checkBackup = checkBackup
    }
}
