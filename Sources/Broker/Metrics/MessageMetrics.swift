internal import WSTransport

extension MetricTable {
    static func messages(_ table: inout MetricTable) {
        table.add("broker_clients", .gauge, "Clients with a session.") { reading in
            reading.exchange { $0.clients.current }
        }
        table.add("broker_subscriptions", .gauge, "Current subscriptions.") { reading in
            reading.exchange { $0.subscriptions.current }
        }
        table.add("broker_messages_published_total", .counter, "Messages accepted.") { reading in
            reading.exchange { $0.published.current }
        }
        table.add("broker_published_bytes_total", .counter, "Payload of accepted messages, in bytes.") { reading in
            reading.exchange { $0.publishedBytes.current }
        }
        table.add("broker_messages_delivered_total", .counter, "Live messages sent to subscribers.") { reading in
            reading.exchange { $0.delivered.current }
        }
        table.add(
            "broker_endpoint_clients", .gauge, "Clients with a session, by endpoint.", by: "endpoint",
            each: { reading in
                reading.byEndpoint { $0.clients.current }
            })
        table.add(
            "broker_endpoint_received_messages_total", .counter, "Publications sent by clients, by endpoint.",
            by: "endpoint",
            each: { reading in
                reading.byEndpoint { $0.received.current }
            })
        table.add(
            "broker_endpoint_received_bytes_total", .counter,
            "Payload of publications sent by clients, in bytes, by endpoint.", by: "endpoint",
            each: { reading in
                reading.byEndpoint { $0.receivedBytes.current }
            })
        table.add(
            "broker_endpoint_sent_messages_total", .counter,
            "Messages sent to subscribers: live, retained or from the history, by endpoint.", by: "endpoint",
            each: { reading in
                reading.byEndpoint { $0.sent.current }
            })
        table.add(
            "broker_endpoint_sent_bytes_total", .counter,
            "Payload of messages sent to subscribers, in bytes, by endpoint.", by: "endpoint",
            each: { reading in
                reading.byEndpoint { $0.sentBytes.current }
            })
        table.add(
            "broker_delivery_duration_seconds",
            """
            How long publications took from their arrival until they were passed to the sockets of all subscribers of \
            an event loop, in seconds; at most 100 a second and loop are measured.
            """,
            unit: 1e-6
        ) { reading in
            reading.figures.shards.map(\.deliveries)
        }
        table.add(
            "broker_match_nodes_total", .counter,
            "Levels of filters with wildcards that were compared to find the subscribers of messages."
        ) { reading in reading.exchange { $0.matchedNodes.current } }
        table.add("broker_retained_delivered_total", .counter, "Retained values sent to new subscribers.") { reading in
            reading.exchange { $0.snapshots.current }
        }
        table.add("broker_history_delivered_total", .counter, "Messages sent from the history.") { reading in
            reading.exchange { $0.replayed.current }
        }
        table.add("broker_falls_behind_total", .counter, "Times a client fell behind because it read slowly.") {
            reading in reading.exchange { $0.fallsBehind.current }
        }
        table.add("broker_messages_dropped_total", .counter, "Messages dropped for slow readers, by their policy.") {
            reading in reading.exchange { $0.dropped.current }
        }
        table.add(
            "broker_repeated_publications_total", .counter,
            "Publications that repeated an earlier one with the same key."
        ) {
            reading in reading.exchange { $0.repeatedPublishes.current }
        }
        table.add("broker_requests_total", .counter, "Requests for a reply.") { reading in
            reading.exchange { $0.requests.current }
        }
        table.add("broker_requests_waiting", .gauge, "Requests that wait for a reply.") { reading in
            reading.exchange { $0.waitingRequests.current }
        }
        table.add("broker_requests_late_total", .counter, "Requests without a reply in time.") { reading in
            reading.exchange { $0.lateRequests.current }
        }
        table.add("broker_ephemeral_values", .gauge, "Ephemeral values.") { reading in
            reading.figures.sequencer.ephemerals.count
        }
        table.add("broker_ephemeral_bytes", .gauge, "Memory for ephemeral values.") { reading in
            reading.figures.sequencer.ephemerals.bytes
        }
        table.add(
            "broker_ephemeral_ended_total", .counter, "Ephemeral values removed because their connections had ended."
        ) { reading in reading.exchange { $0.endedEphemerals.current } }
        table.add("broker_ephemeral_refused_total", .counter, "Ephemeral values refused beyond a limit.") { reading in
            reading.exchange { $0.refusedEphemerals.current }
        }
        table.add("broker_publish_keys", .gauge, "Remembered keys of publications.") { reading in
            reading.figures.sequencer.keys.count
        }
        table.add("broker_publish_key_bytes", .gauge, "Memory for remembered keys of publications.") { reading in
            reading.figures.sequencer.keys.bytes
        }
        table.add("broker_expired_values_total", .counter, "Retained values whose expiry was announced.") { reading in
            reading.exchange { $0.expired.current }
        }
        table.add(
            "broker_clients_behind", .gauge,
            "Clients for which messages wait: slow ones, and those that still receive retained values or history."
        ) { reading in
            reading.exchange { $0.behind.current }
        }
        table.add(
            "broker_pending_bytes", .gauge,
            "Bytes that clients have not received yet; missing while an event loop does not respond."
        ) { reading in
            reading.pending?.bytes
        }
        table.add("broker_pending_bytes_largest", .gauge, "Bytes that the client with the most has not received yet.") {
            reading in
            reading.pending?.largest
        }
        table.add(
            "broker_resumes_total", .counter,
            "Subscriptions that resumed after a message, by whether they received everything or a gap.",
            by: "outcome",
            each: { reading in
                [
                    ("{outcome=\"complete\"}", reading.exchange { $0.resumes.current }),
                    ("{outcome=\"gap\"}", reading.exchange { $0.resumesWithGap.current }),
                ]
            })
        table.add("broker_gaps_total", .counter, "Gaps announced to subscribers.") { reading in
            reading.exchange { $0.gaps.current }
        }
        table.add(
            "broker_reversions_total", .counter,
            "Topics whose value the store refused after its delivery, by whether subscribers were sent the old value.",
            by: "outcome",
            each: { reading in
                [
                    ("{outcome=\"shown\"}", reading.exchange { $0.reversions.current }),
                    ("{outcome=\"omitted\"}", reading.exchange { $0.omittedReversions.current }),
                ]
            })
        table.add(
            "broker_frames_over_turns_total", .counter,
            "Frames with too many commands or responses for one turn."
        ) { reading in reading.exchange { $0.heldFrames.current } }
        table.add(
            "broker_inflate_pauses_total", .counter,
            "Times a connection waited for the next turn because this one had inflated enough."
        ) { reading in reading.transport { $0.inflatePauses.current } }
        table.add(
            "broker_catch_up_pauses_total", .counter,
            "Turns in which some clients that were behind had to wait for the next turn."
        ) { reading in reading.exchange { $0.fullTurns.current } }
        table.add("broker_congestions_total", .counter, "Turns whose publishers had to wait for other reactors.") {
            reading in reading.exchange { $0.congestions.current }
        }
        table.add("broker_sequence_number", .gauge, "The newest message's number.") { reading in
            Int(clamping: reading.figures.sequencer.newest)
        }
    }
}
