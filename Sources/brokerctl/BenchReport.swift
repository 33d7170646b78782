internal import Broker
internal import Load

extension LoadReport {
    /// Prints it for people, or as one JSON object.
    func print(asJSON: Bool) {
        if asJSON { Output.print(json) } else { for line in lines { Output.print(line) } }
    }

    private var json: [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("subscribers", subscribers)
        writer.member("publishers", publishers)
        writer.member("payloadBytes", payloadSize)
        writer.member("burst", burst)
        writer.member("sent", sent)
        writer.member("delivered", delivered)
        writer.member("expected", expected)
        writer.member("acknowledged", acknowledged)
        writer.member("unacknowledged", unacknowledged)
        writer.member("wrong", wrong)
        writer.member("ended", ending.rawValue)
        writer.member("seconds", Double(nanoseconds) / 1e9)
        writer.member("perSecond", arrivalsPerSecond)
        write(latency, to: &writer)
        if let nanoseconds = serverNanosecondsPerArrival {
            writer.member("serverNanosecondsPerMessage", nanoseconds)
        }
        writer.name("opening")
        writer.beginObject()
        writer.member("connections", opened)
        if let tlsVersion { writer.member("tls", tlsVersion) }
        writer.member("seconds", Double(openingNanoseconds) / 1e9)
        writer.member("perSecond", openedPerSecond)
        write(openingLatency, to: &writer)
        if let nanoseconds = serverNanosecondsPerOpening {
            writer.member("serverNanosecondsPerConnection", nanoseconds)
        }
        writer.endObject()
        if let bytes = serverBytesPerConnection { writer.member("serverBytesPerConnection", bytes) }
        writer.endObject()
        return writer.bytes
    }

    private func write(_ latency: LatencyHistogram, to writer: inout JSONWriter) {
        guard latency.count > 0 else { return }
        writer.name("latencyMicroseconds")
        writer.beginObject()
        writer.member("p50", latency.quantile(0.5))
        writer.member("p99", latency.quantile(0.99))
        writer.member("p99.9", latency.quantile(0.999))
        writer.member("max", latency.maximum)
        writer.endObject()
    }

    private var lines: [String] {
        var rows = [
            ("connections", "\(subscribers) subscribers, \(publishers) publishers\(tlsVersion.map { ", \($0)" } ?? "")")
        ]
        rows.append(
            (
                "opened",
                "\(Quantity.fixed(openedPerSecond)) a second for \(Quantity.fixed(Double(openingNanoseconds) / 1e9)) s; "
                    + quantiles(openingLatency)
            ))
        if publishers > 0 { rows.append(("sent", "\(sent) messages of \(payloadSize) bytes, \(burst) at a time")) }
        if subscribers > 0 {
            rows.append(("delivered", "\(delivered) of \(expected)\(wrong > 0 ? ", \(wrong) wrong" : "")"))
        }
        if acknowledged + unacknowledged > 0 {
            rows.append(("acknowledged", "\(acknowledged)\(unacknowledged > 0 ? " of \(sent)" : "")"))
        }
        rows.append(
            ("rate", "\(Quantity.fixed(arrivalsPerSecond)) a second for \(Quantity.fixed(Double(nanoseconds) / 1e9)) s")
        )
        if latency.count > 0 { rows.append(("latency", quantiles(latency))) }
        if let nanoseconds = serverNanosecondsPerArrival {
            var cost = "\(Quantity.fixed(nanoseconds / 1000)) µs a message"
            if let opening = serverNanosecondsPerOpening {
                cost += ", \(Quantity.fixed(opening / 1000)) µs a connection"
            }
            rows.append(("server CPU", cost))
        }
        if let bytes = serverBytesPerConnection { rows.append(("server memory", "\(bytes) B a connection")) }
        switch ending {
        case .done: break
        case .interrupted: rows.append(("ended", "interrupted"))
        case .stalled: rows.append(("ended", "nothing more arrived"))
        }
        return rows.map { name, value in name + String(repeating: " ", count: max(1, 16 - name.count)) + value }
    }

    private func quantiles(_ latency: LatencyHistogram) -> String {
        let values = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)].map { name, fraction in
            "\(name) \(milliseconds(latency.quantile(fraction)))"
        }
        return (values + ["max \(milliseconds(latency.maximum))"]).joined(separator: ", ")
    }

    private func milliseconds(_ microseconds: Int64) -> String {
        microseconds < 1000 ? "\(microseconds) µs" : "\(Quantity.fixed(Double(microseconds) / 1000)) ms"
    }
}
