import Foundation
import Testing

@testable import Broker

@Suite("The table of metrics and the files generated from it")
struct MetricTableTests {
    /// `make metrics` makes them.
    @Test(arguments: [
        ("docs/metrics.md", MetricsManual.page), ("deploy/alerts.yaml", MetricsManual.alerts),
        ("deploy/grafana-dashboard.json", MetricsManual.dashboard),
    ])
    func generatedFilesMatchTheDeclarations(path: String, made: String) throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../..")
        let isNew = try String(contentsOf: root.appending(path: path), encoding: .utf8) == made
        #expect(isNew, "run make metrics")
    }

    @Test(arguments: MetricTable.all.metrics.map(\.name))
    func namesFollowPrometheusConventions(name: String) throws {
        let metric = try #require(MetricTable.all.metrics.first { $0.name == name })
        #expect(name.wholeMatch(of: /(broker|process)(_[a-z]+)+/) != nil)
        #expect((metric.kind == .counter) == name.hasSuffix("_total"))
        #expect(metric.help.hasSuffix(".") && !metric.help.contains("\n") && !metric.help.contains("|"))
        #expect(MetricTable.all.metrics.count { $0.name == name } == 1)
        // A base unit, named last.
        #expect(name.firstMatch(of: /milliseconds|minutes|kilobytes|percent/) == nil)
    }

    @Test(arguments: Alert.all.map(\.name))
    func everyMetricOfAnAlertExists(name: String) throws {
        let alert = try #require(Alert.all.first { $0.name == name })
        #expect(!alert.metrics.isEmpty)
        for used in alert.metrics {
            let metric = try #require(
                MetricTable.all.metrics.first {
                    $0.name == used || $0.kind == .histogram && $0.name + "_bucket" == used
                },
                "\(used)")
            #expect((metric.kind == .histogram) == used.hasSuffix("_bucket"), "\(used)")
        }
        for match in alert.expression.matches(of: /([a-z_]+)\{([a-z]+)=/) {
            #expect(MetricTable.all.metrics.contains { $0.name == match.1 && $0.labels.contains(String(match.2)) })
        }
    }

    @Test func theDashboardHasAPanelForEachMetric() throws {
        let object = try #require(
            try JSONSerialization.jsonObject(with: Data(MetricsManual.dashboard.utf8)) as? [String: Any])
        let panels = try #require(object["panels"] as? [[String: Any]])
        let shown = panels.compactMap { $0["targets"] as? [[String: Any]] }.map { targets in
            targets.compactMap { $0["expr"] as? String }.joined(separator: " ")
        }
        #expect(shown.count == MetricTable.all.metrics.count)
        for (metric, expression) in zip(MetricTable.all.metrics, shown) {
            #expect(expression.contains(metric.name), "\(metric.name)")
        }
        #expect(panels.count == shown.count + Metric.Section.allCases.count)
        let places = panels.compactMap { $0["gridPos"] as? [String: Int] }.map { [$0["x"], $0["y"]] }
        #expect(Set(places).count == panels.count)
    }
}
