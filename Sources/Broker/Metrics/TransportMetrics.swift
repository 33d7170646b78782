internal import WSTransport

extension MetricTable {
    static func transport(_ table: inout MetricTable) {
        table.add(
            "broker_reactors", .gauge, "Event loops, by how they send.", by: "backend",
            each: { reading in
                let rings = reading.transport { $0.rings.current }
                return [
                    ("{backend=\"epoll\"}", reading.figures.reactors.count - rings),
                    ("{backend=\"io_uring\"}", rings),
                ]
            })
        table.add(
            "broker_loop_lag_seconds",
            "How long turns of event loops took, in seconds; input that arrives meanwhile waits as long.", unit: 1e-9
        ) { reading in
            reading.figures.reactors.map(\.lag)
        }
        table.add("broker_connections", .gauge, "Open sockets.") { reading in reading.figures.connections }
        table.add("broker_websockets", .gauge, "Open WebSockets.") { reading in
            reading.transport { $0.webSockets.current }
        }
        table.add("broker_connections_accepted_total", .counter, "Sockets accepted.") { reading in
            reading.transport { $0.accepted.current }
        }
        table.add(
            "broker_connections_refused_total", .counter, "Connections refused because a limit was reached.",
            by: "reason",
            each: { reading in
                reading.figures.refusals.map { ("{reason=\"\($0.reason)\"}", $0.count) }
            })
        table.add(
            "broker_proxy_headers_refused_total", .counter,
            "Connections reset because a PROXY header was expected, by fault.", by: "reason",
            each: { reading in
                [
                    ("{reason=\"stranger\"}", reading.transport { $0.refusedNonProxies.current }),
                    ("{reason=\"malformed\"}", reading.transport { $0.badProxyHeaders.current }),
                ]
            })
        table.add("broker_accept_pauses_total", .counter, "Times accepting paused for lack of descriptors or memory.") {
            reading in reading.transport { $0.acceptPauses.current }
        }
        table.add(
            "broker_tls_handshakes_total", .counter, "TLS handshakes, by outcome.", by: "outcome",
            each: { reading in
                [
                    ("{outcome=\"done\"}", reading.transport { $0.tlsHandshakes.current }),
                    ("{outcome=\"failed\"}", reading.transport { $0.tlsFailures.current }),
                    ("{outcome=\"refused\"}", reading.transport { $0.tlsRefused.current }),
                ]
            })
        table.add(
            "broker_tls_handshakes_waiting", .gauge, "TLS handshakes in progress on a thread, or waiting for one."
        ) { reading in reading.transport { $0.tlsWaiting.current } }
        table.add("broker_http_requests_total", .counter, "HTTP requests, upgrades included.") { reading in
            reading.transport { $0.requests.current }
        }
        table.add(
            "broker_http_responses_total", .counter, "HTTP responses, by the class of their status; 1xx: WebSockets.",
            by: "class",
            each: { reading in
                (1...5).map { hundred in
                    ("{class=\"\(hundred)xx\"}", reading.transport { $0.answers(ofClass: hundred) })
                }
            })
        table.add(
            "broker_http_refusals_total", .counter, "Requests that were malformed, or did not arrive in time.",
            by: "reason",
            each: { reading in
                [
                    ("{reason=\"malformed\"}", reading.transport { $0.badRequests.current }),
                    ("{reason=\"timeout\"}", reading.transport { $0.requestTimeouts.current }),
                ]
            })
        table.add(
            "broker_upgrades_total", .counter, "WebSocket handshakes, by outcome.", by: "outcome",
            each: { reading in
                [
                    ("{outcome=\"accepted\"}", reading.transport { $0.upgrades.current }),
                    ("{outcome=\"refused\"}", reading.transport { $0.refusedUpgrades.current }),
                ]
            })
        table.add(
            "broker_disconnects_total", .counter, "Connections closed by the broker, by reason.", by: "reason",
            each: { reading in
                [
                    ("{reason=\"dead\"}", reading.transport { $0.evicted.current }),
                    ("{reason=\"slow\"}", reading.transport { $0.slowReaders.current }),
                    ("{reason=\"protocol\"}", reading.transport { $0.protocolErrors.current }),
                    ("{reason=\"memory\"}", reading.figures.shed),
                    ("{reason=\"unfinished\"}", reading.transport { $0.messageTimeouts.current }),
                ]
            })
        table.add(
            "broker_held_bytes", .gauge, "Memory of clients: unread input and unsent output, in bytes."
        ) { reading in reading.figures.heldBytes }
        table.add(
            "broker_held_limit_bytes", .gauge,
            "Maximum memory of clients (limits.memory), in bytes; 0: unlimited."
        ) { reading in reading.figures.heldLimit ?? 0 }
        table.add("broker_pings_total", .counter, "PINGs sent because a peer was idle.") { reading in
            reading.transport { $0.pingsSent.current }
        }
        table.add("broker_received_bytes_total", .counter, "Bytes read from sockets.") { reading in
            reading.transport { $0.receivedBytes.current }
        }
        table.add(
            "broker_sent_bytes_total", .counter, "Bytes passed to connections for sending, without the overhead of TLS."
        ) { reading in
            reading.transport { $0.sentBytes.current }
        }
        table.add("broker_sends_total", .counter, "System calls that sent bytes.") { reading in
            reading.transport { $0.sends.current }
        }
        table.add("broker_frames_received_total", .counter, "WebSocket messages received.") { reading in
            reading.transport { $0.messagesReceived.current }
        }
    }
}
