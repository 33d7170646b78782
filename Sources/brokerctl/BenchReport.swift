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
        writer.member("wrong", wrong)
        writer.member("seconds", Double(nanoseconds) / 1e9)
        writer.member("perSecond", arrivalsPerSecond)
        if latency.count > 0 {
            writer.name("latencyMicroseconds")
            writer.beginObject()
            writer.member("p50", latency.quantile(0.5))
            writer.member("p99", latency.quantile(0.99))
            writer.member("p99.9", latency.quantile(0.999))
            writer.member("max", latency.maximum)
            writer.endObject()
        }
        if let nanoseconds = serverNanosecondsPerArrival {
            writer.member("serverNanosecondsPerMessage", nanoseconds)
        }
        if let bytes = serverBytesPerConnection { writer.member("serverBytesPerConnection", bytes) }
        writer.endObject()
        return writer.bytes
    }

    private var lines: [String] {
        var rows = [("connections", "\(subscribers) subscribers, \(publishers) publishers")]
        if publishers > 0 { rows.append(("sent", "\(sent) messages of \(payloadSize) bytes, \(burst) at a time")) }
        if subscribers > 0 {
            rows.append(("delivered", "\(delivered) of \(expected)\(wrong > 0 ? ", \(wrong) wrong" : "")"))
        }
        if acknowledged > 0 { rows.append(("acknowledged", "\(acknowledged)")) }
        rows.append(
            ("rate", "\(Quantity.fixed(arrivalsPerSecond)) a second for \(Quantity.fixed(Double(nanoseconds) / 1e9)) s")
        )
        if latency.count > 0 {
            let values = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)].map { name, fraction in
                "\(name) \(milliseconds(latency.quantile(fraction)))"
            }
            rows.append(("latency", (values + ["max \(milliseconds(latency.maximum))"]).joined(separator: ", ")))
        }
        if let nanoseconds = serverNanosecondsPerArrival {
            rows.append(("server CPU", "\(Quantity.fixed(nanoseconds / 1000)) µs a message"))
        }
        if let bytes = serverBytesPerConnection { rows.append(("server memory", "\(bytes) B a connection")) }
        return rows.map { name, value in name + String(repeating: " ", count: max(1, 16 - name.count)) + value }
    }

    private func milliseconds(_ microseconds: Int64) -> String {
        microseconds < 1000 ? "\(microseconds) µs" : "\(Quantity.fixed(Double(microseconds) / 1000)) ms"
    }
}
