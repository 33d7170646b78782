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
            "How long turns of event loops took, in seconds: what came meanwhile waited as long.", unit: 1e-9
        ) { reading in
            reading.figures.reactors.map(\.lag)
        }
        table.add("broker_connections", .gauge, "Sockets open now.") { reading in reading.figures.connections }
        table.add("broker_websockets", .gauge, "WebSockets open now.") { reading in
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
            "Connections reset because a PROXY header was expected, by what was wrong.", by: "reason",
            each: { reading in
                [
                    ("{reason=\"stranger\"}", reading.transport { $0.refusedNonProxies.current }),
                    ("{reason=\"malformed\"}", reading.transport { $0.badProxyHeaders.current }),
                ]
            })
        table.add("broker_accept_pauses_total", .counter, "Times accepting paused for want of descriptors or memory.") {
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
            "broker_tls_handshakes_waiting", .gauge, "TLS handshakes that are with a thread now, or wait for one."
        ) { reading in reading.transport { $0.tlsWaiting.current } }
        table.add("broker_http_requests_total", .counter, "HTTP requests, upgrades included.") { reading in
            reading.transport { $0.requests.current }
        }
        table.add(
            "broker_http_responses_total", .counter, "HTTP answers, by the class of their status; 1xx: WebSockets.",
            by: "class",
            each: { reading in
                (1...5).map { hundred in
                    ("{class=\"\(hundred)xx\"}", reading.transport { $0.answers(ofClass: hundred) })
                }
            })
        table.add(
            "broker_http_refusals_total", .counter, "Requests that were no proper HTTP, or did not come in time.",
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
            "broker_disconnects_total", .counter, "Connections the broker gave up, by reason.", by: "reason",
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
            "broker_held_bytes", .gauge, "What clients hold in memory: input that waits, output not taken, in bytes."
        ) { reading in reading.figures.heldBytes }
        table.add(
            "broker_held_limit_bytes", .gauge,
            "What clients may hold in memory (limits.memory), in bytes; 0: unlimited."
        ) { reading in reading.figures.heldLimit ?? 0 }
        table.add("broker_pings_total", .counter, "PINGs sent because a peer was silent.") { reading in
            reading.transport { $0.pingsSent.current }
        }
        table.add("broker_received_bytes_total", .counter, "Bytes read from sockets.") { reading in
            reading.transport { $0.receivedBytes.current }
        }
        table.add(
            "broker_sent_bytes_total", .counter, "Bytes that connections were given to send, without what TLS adds."
        ) { reading in
            reading.transport { $0.sentBytes.current }
        }
        table.add("broker_sends_total", .counter, "Times the kernel was given bytes to send.") { reading in
            reading.transport { $0.sends.current }
        }
        table.add("broker_frames_received_total", .counter, "WebSocket messages received.") { reading in
            reading.transport { $0.messagesReceived.current }
        }
    }
}
