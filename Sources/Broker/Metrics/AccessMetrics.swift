internal import Synchronization
internal import WSTransport

extension MetricTable {
    static func access(_ table: inout MetricTable) {
        table.add(
            "broker_refusals_total", .counter, "Refused commands and requests, by limit or rule.", by: "reason",
            each: { reading in
                [
                    ("{reason=\"rate\"}", reading.exchange { $0.rateLimited.current }),
                    ("{reason=\"subscriptions\"}", reading.exchange { $0.subscriptionLimit.current }),
                    ("{reason=\"publish\"}", reading.exchange { $0.refusedPublishes.current }),
                    ("{reason=\"command\"}", reading.exchange { $0.errors.current }),
                    ("{reason=\"origin\"}", reading.exchange { $0.refusedOrigins.current }),
                    ("{reason=\"host\"}", reading.exchange { $0.refusedHosts.current }),
                    ("{reason=\"revoked\"}", reading.exchange { $0.revoked.current }),
                ]
            })
        table.add(
            "broker_errors_total", .counter, "Errors sent to clients, over WebSocket and HTTP, by code.",
            by: "code",
            each: { reading in
                ErrorCode.allCases.map { code in
                    ("{code=\"\(code.rawValue)\"}", reading.exchange { $0.errors(of: code) })
                }
            })
        table.add(
            "broker_denied_total", .counter, "Actions refused because a client lacked the right, by action.",
            by: "action",
            each: { reading in
                [
                    ("{action=\"publish\"}", reading.exchange { $0.deniedPublishes.current }),
                    ("{action=\"subscribe\"}", reading.exchange { $0.deniedSubscribes.current }),
                    ("{action=\"retain\"}", reading.exchange { $0.deniedRetains.current }),
                    ("{action=\"admin\"}", reading.exchange { $0.deniedAdministration.current }),
                ]
            })
        table.add("broker_hosts_refused_total", .counter, "Requests for a host name that the broker does not accept.") {
            reading in reading.exchange { $0.refusedHosts.current }
        }
        table.add(
            "broker_quotas_reached_total", .counter, "Times an address or a user reached one of its limits.",
            by: "limit",
            each: { reading in
                (reading.figures.quotas?.reached ?? []).map { ("{limit=\"\($0.limit)\"}", $0.count) }
            })
        table.add(
            "broker_audit_memory_bytes", .gauge,
            "Memory of the last lines of the audit log (log.audit_memory), in bytes."
        ) { reading in reading.figures.audit?.memory.size ?? 0 }
        table.add(
            "broker_events_total", .counter, "Events, by their kind, as brokerctl events shows them.", by: "kind",
            each: { reading in
                (reading.figures.events?.totals ?? []).map { ("{kind=\"\($0.kind.rawValue)\"}", $0.count) }
            })
        table.add(
            "broker_events_dropped_total", .counter,
            "Events that were only counted, because there were too many of their kind."
        ) { reading in reading.figures.events?.droppedCount ?? 0 }
        table.add(
            "broker_event_memory_bytes", .gauge,
            "Memory of the last events (log.event_memory), in bytes."
        ) { reading in
            reading.figures.events?.memory.size ?? 0
        }
        table.add("broker_bans", .gauge, "Bans in force.") { reading in reading.figures.bans?.list.count ?? 0 }
        table.add(
            "broker_bans_refused_total", .counter,
            "Bans refused because the list was full (limits.bans)."
        ) { reading in
            reading.figures.bans?.refused.load(ordering: .relaxed) ?? 0
        }
        table.add(
            "broker_banned_total", .counter, "Connections and requests that bans have ended or refused.", by: "what",
            each: { reading in
                [
                    ("{what=\"client\"}", reading.exchange { $0.bannedClients.current }),
                    ("{what=\"connection\"}", reading.figures.bans?.connections.load(ordering: .relaxed) ?? 0),
                    ("{what=\"request\"}", reading.exchange { $0.bannedRequests.current }),
                ]
            })
        table.add("broker_audit_lines_dropped_total", .counter, "Lost lines of the audit log.") { reading in
            reading.figures.audit?.dropped ?? 0
        }
        table.add(
            "broker_auth_total", .counter, "Checked credentials, by kind and outcome.", by: "kind", "result",
            each: { reading in
                reading.both("password") { ($0.passwords.right.current, $0.passwords.wrong.current) }
                    + reading.both("session") { ($0.sessions.right.current, $0.sessions.wrong.current) }
                    + reading.both("token") { ($0.tokens.right.current, $0.tokens.wrong.current) }
                    + reading.both("jwt") { ($0.webTokens.right.current, $0.webTokens.wrong.current) }
                    + reading.both("certificate") { ($0.certificates.right.current, $0.certificates.wrong.current) }
                    + reading.both("peer") { ($0.peers.right.current, $0.peers.wrong.current) }
                    + reading.both("unknown") {
                        ($0.unknownCredentials.right.current, $0.unknownCredentials.wrong.current)
                    }
            })
        table.add(
            "broker_jwt_refused_total", .counter, "Refused JSON Web Tokens, by reason.", by: "reason",
            each: { reading in
                let refused = reading.figures.webTokens?.outcomes ?? [:]
                return JWTRejection.allCases.map { ("{reason=\"\($0.rawValue)\"}", Int(clamping: refused[$0] ?? 0)) }
            })
        table.add(
            "broker_jwks_age_seconds", .gauge, "Seconds since the keys of an issuer were fetched.", by: "issuer",
            each: { reading in
                (reading.figures.webTokens?.ages ?? []).map {
                    ("{issuer=\"\(PrometheusText.escaped($0.issuer))\"}", Int(clamping: $0.seconds))
                }
            })
        table.add("broker_sessions_revoked_total", .counter, "Clients whose credentials were revoked.") { reading in
            reading.exchange { $0.revokedClients.current }
        }
        table.add(
            "broker_grants", .gauge,
            "Grants in memory, including those that no client uses any more."
        ) { reading in
            reading.exchange { $0.grants.current }
        }
        table.add(
            "broker_browser_sessions", .gauge, "Browser sessions, including expired ones that were not removed yet."
        ) { reading in reading.figures.browserSessions?.count ?? 0 }
        table.add("broker_browser_sessions_refused_total", .counter, "Browser logins refused because of a limit.") {
            reading in reading.figures.refusedLogins
        }
        table.add("broker_user_changes_waiting", .gauge, "Requests about users and tokens that are waiting.") {
            reading in reading.figures.accessChanges?.waiting ?? 0
        }
        table.add(
            "broker_user_changes_refused_total", .counter,
            "Requests about users and tokens refused because too many were waiting."
        ) { reading in reading.figures.accessChanges?.refused ?? 0 }
        table.add("broker_password_checks_waiting", .gauge, "Passwords waiting to be checked.") { reading in
            reading.figures.passwords?.waiting ?? 0
        }
        table.add(
            "broker_password_checks_total", .counter, "Password checks, by outcome.",
            by: "outcome",
            each: { reading in
                [
                    ("{outcome=\"computed\"}", reading.figures.passwords?.begun.load(ordering: .relaxed) ?? 0),
                    ("{outcome=\"refused\"}", reading.figures.passwords?.refused.load(ordering: .relaxed) ?? 0),
                    ("{outcome=\"limited\"}", reading.figures.passwords?.limited.load(ordering: .relaxed) ?? 0),
                ]
            })
    }
}
