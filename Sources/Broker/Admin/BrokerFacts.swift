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
    /// Whether a file is a whole copy of a store.
    package let checkBackup: @Sendable (_ path: String) throws(StorageError) -> Void
    /// Changes users and tokens; `nil`: there are none.
    package let accessFile: AccessFileDesk?
    /// Finds out whose a token is; `nil`: nobody's.
    package let authenticator: (any Authenticator)?
    /// The audit log's last lines; `nil`: there is none.
    package let audit: AuditLog?
    /// What happens to clients and to the broker; `nil`: nothing is told of it.
    package let events: EventStream?
    /// The bans that hold.
    package let bans: Bans
    /// Which lines go to the log.
    package let logThreshold: LogThreshold
    /// How long the certificates of all listeners still hold, in seconds; `nil`: there are none.
    let certificateSeconds: @Sendable () -> Int?
    /// Where the settings are from; `nil`: from a program.
    let configuration: ConfigurationDesk?
    /// What came of the last reload.
    package let reloads: Reloads
    /// What administrators share.
    let administration = AdminState()

    package init(
        figures: Figures, listen: [String], dataDirectory: String, epoch: UInt64, movedAside: String?,
        bans: Bans = Bans(), logThreshold: LogThreshold = LogThreshold(.info),
        accessFile: AccessFileDesk? = nil, authenticator: (any Authenticator)? = nil, audit: AuditLog? = nil,
        configuration: ConfigurationDesk? = nil,
        certificateSeconds: @escaping @Sendable () -> Int? = { nil },
        events: EventStream? = nil,
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
        self.configuration = configuration
        self.accessFile = accessFile
        self.authenticator = authenticator
        self.audit = audit
        self.events = events
        self.backup = backup
        self.checkBackup = checkBackup
    }
}
