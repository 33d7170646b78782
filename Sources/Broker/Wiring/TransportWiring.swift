package import WSTransport

extension WebSocketOptions {
    /// The options of WebSockets from the configuration.
    package init(_ settings: Settings) {
        self.init()
        maximumMessage = settings.limits.message
        maximumUnsent = settings.limits.pending
        maximumUnsentAge = settings.limits.pendingAge?.nanoseconds
        pingInterval = settings.keepalive.interval?.nanoseconds
        pingTimeout = settings.keepalive.timeout.nanoseconds
        messageTimeout = timeout(ofMessages: maximumMessage, settings)
        setCompression(settings)
    }

    /// The time for a message, the same as for a body, in nanoseconds.
    private func timeout(ofMessages maximum: Int, _ settings: Settings) -> Int64 {
        settings.limits.handshakeTimeout.nanoseconds
            .addingReportingOverflow(Int64(maximum / 16_384) * 1_000_000_000).partialValue
    }

    /// The same for sockets whose messages contain payloads within JSON; the limit is that of the payload.
    ///
    /// Base64 takes four bytes for three, and an escaped character of text usually two for one.
    init(objects settings: Settings) {
        self.init(settings)
        maximumMessage = 2 * settings.limits.message + 64 * 1024
        messageTimeout = timeout(ofMessages: maximumMessage, settings)
    }

    /// The same for clients that have not authenticated yet.
    init(unauthenticated settings: Settings) {
        self.init(objects: settings)
        maximumMessage = Self.unauthenticatedMessage
    }

    /// The maximum size of a message from a client that has not authenticated yet, in bytes.
    private static let unauthenticatedMessage = 16 << 10

    /// The same for administrators: a response may be long, and a request may contain a whole message.
    init(administrators settings: Settings) {
        self.init(settings)
        maximumUnsent = Self.administratorsUnsent
        maximumMessage = AdminWire.maximumQuestion(message: settings.limits.message, topic: settings.limits.topic)
        messageTimeout = timeout(ofMessages: maximumMessage, settings)
        compression = nil
    }

    /// The maximum of unsent bytes for an administrator.
    private static let administratorsUnsent = 64 << 20

    private mutating func setCompression(_ settings: Settings) {
        guard settings.compression.enabled else { return }
        var compression = CompressionOptions()
        compression.level = settings.compression.level
        compression.minimum = settings.compression.minimum
        self.compression = compression
    }
}

extension Settings.Limits.Memory {
    /// The limit in bytes; `nil` means no limit.
    package var bytes: Int? {
        switch self {
        case .share(let percent): Machine.memory / 100 * percent
        case .bytes(let bytes): bytes
        case .unlimited: nil
        }
    }
}

extension HTTPSettings {
    /// The settings of HTTP connections from the configuration.
    package init(_ settings: Settings) {
        self.init()
        headTimeout = settings.limits.handshakeTimeout.nanoseconds
        idleTimeout = settings.limits.idleTimeout.nanoseconds
        maximumHead = settings.limits.requestHead
        maximumUnsent = settings.limits.pending
        maximumUnsentAge = settings.limits.pendingAge?.nanoseconds
        entrance.maximumUnsentInKernel = settings.limits.unsentInKernel
        heartbeatInterval = settings.keepalive.interval?.nanoseconds
        heartbeatTimeout = settings.keepalive.timeout.nanoseconds
        probeIdleSeconds = Int(settings.keepalive.interval?.components.seconds ?? 25)
        probeTimeoutSeconds = Int(settings.keepalive.timeout.components.seconds)
    }
}
