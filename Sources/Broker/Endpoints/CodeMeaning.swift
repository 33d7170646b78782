internal import WSTransport

/// The meaning of a code that the broker sends to clients or writes to its audit log.
///
/// Used by `brokerctl explain`; a test compares it with the tables in docs/protocol.md and docs/security.md.
package struct CodeMeaning: Sendable {
    /// Where a code appears.
    package enum Kind: String, Sendable {
        /// The `code` of an error.
        case error
        /// The code of a WebSocket Close frame.
        case close
        /// The status of an HTTP response whose error has a less specific code.
        case status
        /// The `event` of a line of the audit log.
        case audit
    }

    package let kind: Kind
    /// The code as written, such as `rate-limited`, `4410` or `publish.denied`.
    package let code: String
    /// The HTTP status of an error, or the error code of a status; empty if there is none.
    package let companion: String
    /// What has happened, as a phrase.
    package let meaning: String
    /// Whether the client should try again or reconnect, as a phrase; empty if there is nothing to try.
    package let again: String
    /// What an administrator can check or change, in Markdown; may be empty.
    package let advice: String

    /// Every code, by kind and in the order of the documentation.
    package static let all = errors + closes + statuses + audits
}

extension CodeMeaning {
    private static let errors: [CodeMeaning] = ErrorCode.allCases.map { code in
        let text = text(of: code)
        return CodeMeaning(
            kind: .error, code: code.rawValue, companion: String(code.status), meaning: text.meaning,
            again: text.again, advice: text.advice)
    }

    private static func text(of code: ErrorCode) -> (meaning: String, again: String, advice: String) {
        switch code {
        case .badRequest: ("malformed JSON, member, parameter or field", "no", "")
        case .badTopic:
            (
                "the topic breaks the grammar or a limit", "no",
                "The limits are `limits.topic` and `limits.topic_levels`."
            )
        case .badFilter:
            (
                "the filter breaks the grammar or a limit", "no",
                "The limits are `limits.topic`, `limits.topic_levels` and `limits.wildcards`."
            )
        case .unauthenticated:
            (
                "credentials that the broker does not accept, or none where they are required", "with others",
                "The audit log has `auth.failed` with the reason; `brokerctl token check -` says what is wrong with a token."
            )
        case .forbidden:
            (
                "not allowed: the topic, the filter or the origin", "no",
                "`brokerctl acl explain USER publish|subscribe TOPIC` shows which rule decides; pages need `origins`."
            )
        case .notFound: ("no retained value, no such subscription, no such path", "no", "")
        case .conflict: ("the condition (`ifSeq`, `If-Match`, …) does not hold", "after reading the value", "")
        case .tooLarge: ("the payload is larger than `limits.message`", "no", "")
        case .limitExceeded:
            (
                "a limit on subscriptions, connections or retained values is reached", "when there is room",
                "The message names the limit; the audit log has `limit.hit`, and `/metrics` counts refusals by limit."
            )
        case .rateLimited:
            (
                "more than `limits.publish_rate` messages a second; `Retry-After` says when", "yes",
                "`broker_refusals_total{reason=\"rate\"}` counts them. A rule may have a rate of its own."
            )
        case .internal: ("a fault in the broker", "maybe", "The broker's log says more.")
        case .unavailable:
            (
                "overload, shutdown, or a store that does not respond; `Retry-After` says when", "yes",
                "`brokerctl status` says why the broker is not ready."
            )
        case .storageFull:
            (
                "the store or the disk is full: the message was delivered, but is not stored", "when there is room",
                "Look at `store.maximum_size` and the disk: `brokerctl status`, `brokerctl check`."
            )
        }
    }

    private static func close(
        _ code: CloseCode, _ meaning: String, _ again: String, _ advice: String = ""
    ) -> CodeMeaning {
        CodeMeaning(
            kind: .close, code: code.description, companion: "", meaning: meaning, again: again, advice: advice)
    }

    private static let closes = [
        close(.normal, "the response to the client's own CLOSE", "as you like"),
        close(
            .goingAway, "sent by the client: a page was left, or a program ended; a broker that shuts down sends 1012",
            "as you like"),
        close(.protocolError, "the client broke the WebSocket protocol", "no: a fault in the client"),
        close(
            .unsupportedData, "the wrong kind of frame: binary on `/ws`, text there with MessagePack, any on `/s`",
            "no: a fault in the client"),
        close(
            .noStatusReceived, "never sent: what a program reports when the peer's CLOSE has no code", "as you like"),
        close(
            .abnormal,
            "never sent: what a program reports when the connection ended without a CLOSE, or the handshake failed",
            "yes, after a pause",
            "The network or a proxy cut it, or the client did not respond: `brokerctl events --client ID`."),
        close(
            .invalidPayload, "text that is not UTF-8, or corrupt compressed data", "no: a fault in the client"),
        close(
            .policyViolation,
            "a message did not arrive completely in time (`limits.handshake_timeout`, and 1 s for each 16 KiB of `limits.message`)",
            "yes"),
        close(.messageTooBig, "a message larger than `limits.message` allows", "no, or with smaller messages"),
        close(
            .internalError, "the broker failed: the store is full or cannot be read", "yes, after a pause",
            "`brokerctl status` and the broker's log say more."),
        close(
            .serviceRestart,
            "the broker restarts; the reason is `retry=MILLISECONDS`, a different time for each client",
            "yes, after that time"),
        close(
            .tryAgainLater, "the client reads too slowly, or the broker is overloaded or shutting down",
            "yes, after a pause",
            "Slow readers: `brokerctl clients --sort pending`, `limits.pending` and `limits.pending_age`."),
        close(
            .badRequest, "a bad request, or a limit on retained values; the reason says which",
            "no: a fault in the client"),
        close(
            .unauthenticated, "not authenticated; `expired`; `revoked`", "with other credentials",
            "The audit log has `auth.failed` or `session.revoked`."),
        close(
            .forbidden, "not allowed, or no longer allowed: the topic, the filter, or the page's origin", "no",
            "`brokerctl acl explain USER publish|subscribe TOPIC` shows which rule decides; pages need `origins`."),
        close(.tooLate, "not authenticated in time", "yes, with `authenticate` at once"),
        close(
            .kicked, "disconnected by an administrator, or banned", "no",
            "`brokerctl bans` lists bans; `brokerctl audit` says which administrator it was."),
        close(
            .tooManyMessages,
            "a limit was exceeded: `limits.publish_rate` on a topic socket, connections from one address, or the memory that this client used",
            "yes, after a pause",
            "The limits are `limits.publish_rate`, `limits.connections_per_address` and `limits.memory`."),
    ]

    private static func status(_ status: Int, _ error: ErrorCode, _ meaning: String) -> CodeMeaning {
        CodeMeaning(
            kind: .status, code: String(status), companion: error.rawValue, meaning: meaning, again: "", advice: "")
    }

    private static let statuses = [
        status(405, .badRequest, "a method that the path does not support; `Allow` lists those that it does"),
        status(408, .badRequest, "the request did not arrive in time (`limits.handshake_timeout`)"),
        status(414, .tooLarge, "the request line is longer than `limits.request_head`"),
        status(415, .badRequest, "a `Content-Encoding` other than `identity`"),
        status(417, .badRequest, "an `Expect` other than `100-continue`"),
        status(421, .forbidden, "a `Host` that is not among `hosts`"),
        status(426, .badRequest, "`/ws` without a WebSocket handshake, or a version other than 13"),
        status(431, .tooLarge, "the head is longer than `limits.request_head`"),
        status(501, .badRequest, "a transfer coding that is not supported"),
        status(504, .unavailable, "no reply within the time that `reply` gives"),
        status(505, .badRequest, "an HTTP version that is not supported"),
    ]

    private static func audit(_ events: [String], _ meaning: String) -> [CodeMeaning] {
        events.map {
            CodeMeaning(kind: .audit, code: $0, companion: "", meaning: meaning, again: "", advice: "")
        }
    }

    private static let audits = [
        audit(
            ["auth.failed"], "credentials that were refused: kind, user or `sub` or token id as stated, address, reason"
        ),
        audit(["auth.ok"], "credentials that were accepted, with `log.audit_authentications: all`"),
        audit(
            ["publish.denied", "subscribe.denied", "retain.denied"],
            "what a client was not allowed to do, and the rule that says so"),
        audit(
            ["session.revoked"],
            "a subscription or a client that was ended, because its right or its credentials were withdrawn"),
        audit(
            ["limit.hit", "host.refused", "origin.refused"],
            "the limit that was reached, or the refused host name or origin"),
        audit(
            ["admin.VERB", "users.VERB", "token.VERB"], "a command of an administrator, with its process or user"),
        audit(["users.changed", "users.refused"], "a file of users that another program has changed"),
        audit(["ban.add", "ban.remove", "ban.end", "ban.refused"], "bans, and the clients that they refuse"),
        audit(
            [
                "config.reloaded", "keys.refreshed", "certificate.loaded", "certificate.refused", "start", "stop",
            ], "the broker started, stopped, or loaded or refused its configuration, keys or a certificate"),
        audit(
            ["certificate.revoked"],
            "a connection that was closed, because its client's certificate is no longer accepted"),
        audit(["audit.missing"], "lines that the log has lost; `count` says how many"),
    ].flatMap(\.self)
}
