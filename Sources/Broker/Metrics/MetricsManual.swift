/// The files that are made from the table of metrics.
///
/// `make metrics` writes them.
package enum MetricsManual {
    /// `docs/metrics.md`.
    package static var page: String {
        var text = """
            # Metrics

            `GET /metrics` shows these to Prometheus, in its text format. `deploy/grafana-dashboard.json` has a panel for each, and
            `deploy/alerts.yaml` the rules at the end of this page; import both unchanged.

            Durations are in seconds, sizes in bytes. No label holds a topic or a client, so the number of series does not grow with use.
            Counters begin at 0 with each start. Those with an endpoint as a label name the way in: `json` is `/ws`, `topic`
            `/t/TOPIC` and `subscription` `/s/FILTER` as WebSockets, `lines` and `events` are `GET /s/FILTER`, `http` the other
            requests.

            This page is made from the metrics themselves, by `make metrics`.

            """
        for section in Metric.Section.allCases {
            text += "\n## \(section.rawValue)\n\n| metric | kind | labels | what it says |\n|---|---|---|---|\n"
            for metric in MetricTable.all.metrics where metric.section == section {
                let labels = metric.labels.map { "`\($0)`" }.joined(separator: ", ")
                text += "| `\(metric.name)` | \(metric.kind.rawValue) | \(labels) | \(metric.help) |\n"
            }
        }
        text += "\n## Alerts\n\n| alert | when | what to do |\n|---|---|---|\n"
        for alert in Alert.all {
            let time = alert.minutes > 0 ? " for \(alert.minutes) min" : ""
            text += "| \(alert.name): \(alert.summary) | `\(alert.expression)`\(time) | \(alert.action) |\n"
        }
        return text
    }

    /// `deploy/alerts.yaml`.
    package static var alerts: String {
        var text = """
            # Rules for Prometheus, made from the metrics by `make metrics`; docs/metrics.md says more.
            groups:
              - name: broker
                rules:

            """
        for alert in Alert.all {
            text += """
                      - alert: \(alert.name)
                        expr: \(quoted(alert.expression))
                        for: \(alert.minutes)m
                        labels:
                          severity: \(alert.severity.rawValue)
                        annotations:
                          summary: \(quoted(alert.summary))
                          description: \(quoted(alert.action))

                """
        }
        return text
    }

    private static func quoted(_ text: String) -> String { "'\(text.replacing("'", with: "''"))'" }

    // MARK: The dashboard

    private static let width = 8
    private static let height = 7
    private static let columns = 3

    /// `deploy/grafana-dashboard.json`: one panel a line.
    package static var dashboard: String {
        var panels: [String] = []
        var top = 0
        for section in Metric.Section.allCases {
            panels.append(row(section.rawValue, panels.count + 1, top))
            top += 1
            let metrics = MetricTable.all.metrics.filter { $0.section == section }
            for (place, metric) in metrics.enumerated() {
                let (line, column) = (place / columns, place % columns)
                panels.append(panel(metric, panels.count + 1, column * width, top + line * height))
            }
            top += (metrics.count + columns - 1) / columns * height
        }
        return """
            {
              "title": "Broker",
              "uid": "broker",
              "tags": ["broker"],
              "schemaVersion": 39,
              "editable": true,
              "refresh": "30s",
              "time": { "from": "now-1h", "to": "now" },
              "templating": {
                "list": [
                  { "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus" },
                  {
                    "name": "instance", "label": "Broker", "type": "query", "multi": true, "includeAll": true,
                    "datasource": { "type": "prometheus", "uid": "${datasource}" },
                    "query": "label_values(broker_build_info, instance)", "refresh": 2
                  }
                ]
              },
              "panels": [
                \(panels.joined(separator: ",\n    "))
              ]
            }

            """
    }

    private static func row(_ title: String, _ id: Int, _ top: Int) -> String {
        object { writer in
            writer.member("id", id)
            writer.member("type", "row")
            writer.member("title", title)
            place(&writer, left: 0, top: top, width: columns * width, height: 1)
        }
    }

    private static func panel(_ metric: Metric, _ id: Int, _ left: Int, _ top: Int) -> String {
        object { writer in
            writer.member("id", id)
            writer.member("type", "timeseries")
            writer.member("title", title(metric))
            writer.member("description", metric.help)
            writer.name("datasource")
            source(&writer)
            place(&writer, left: left, top: top, width: width, height: height)
            writer.name("fieldConfig")
            writer.beginObject()
            writer.name("defaults")
            writer.beginObject()
            writer.member("unit", unit(metric))
            writer.member("min", 0)
            writer.endObject()
            writer.endObject()
            writer.name("targets")
            writer.beginArray()
            for (place, query) in queries(metric).enumerated() {
                writer.beginObject()
                writer.member("refId", place == 0 ? "A" : "B")
                writer.member("expr", query.expression)
                writer.member("legendFormat", query.legend)
                writer.endObject()
            }
            writer.endArray()
        }
    }

    /// The words of the metric's name.
    private static func title(_ metric: Metric) -> String {
        var words = metric.name.split(separator: "_").map(String.init)
        if words.first == "broker" { words.removeFirst() }
        if words.last == "total" { words.removeLast() }
        let text = words.joined(separator: " ")
        return text.prefix(1).uppercased() + text.dropFirst()
    }

    /// Grafana's name of the metric's unit.
    private static func unit(_ metric: Metric) -> String {
        let isBytes = metric.name.contains("_bytes")
        if metric.kind == .counter { return isBytes ? "Bps" : metric.name.contains("_seconds") ? "percentunit" : "ops" }
        if isBytes { return "bytes" }
        return metric.name.contains("_seconds") ? "s" : "short"
    }

    /// The queries of a panel: rates of counters, quantiles of histograms, ages of times.
    package static func queries(_ metric: Metric) -> [(expression: String, legend: String)] {
        let wanted = "{instance=~\"$instance\"}"
        let labels = metric.labels.map { ", \($0)" }.joined()
        let legend = "{{instance}}" + metric.labels.map { " {{\($0)}}" }.joined()
        switch metric.kind {
        case .counter:
            let rate = "sum by (instance\(labels)) (rate(\(metric.name)\(wanted)[$__rate_interval]))"
            return [(rate, legend)]
        case .histogram:
            return [("0.5", "half"), ("0.99", "99 of 100")].map { quantile, name in
                let rate = "sum by (le, instance) (rate(\(metric.name)_bucket\(wanted)[$__rate_interval]))"
                return ("histogram_quantile(\(quantile), \(rate))", "{{instance}} \(name)")
            }
        case .gauge where metric.name.hasSuffix("_expiry_timestamp_seconds"):
            return [("\(metric.name)\(wanted) - time()", legend)]
        case .gauge where metric.name.hasSuffix("_timestamp_seconds") || metric.name.hasSuffix("_start_time_seconds"):
            return [("time() - \(metric.name)\(wanted)", legend)]
        case .gauge:
            return [("\(metric.name)\(wanted)", legend)]
        }
    }

    private static func object(_ body: (inout JSONWriter) -> Void) -> String {
        var writer = JSONWriter(capacity: 512)
        writer.beginObject()
        body(&writer)
        writer.endObject()
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    private static func source(_ writer: inout JSONWriter) {
        writer.beginObject()
        writer.member("type", "prometheus")
        writer.member("uid", "${datasource}")
        writer.endObject()
    }

    private static func place(_ writer: inout JSONWriter, left: Int, top: Int, width: Int, height: Int) {
        writer.name("gridPos")
        writer.beginObject()
        writer.member("x", left)
        writer.member("y", top)
        writer.member("w", width)
        writer.member("h", height)
        writer.endObject()
    }
}
