extension SettingsDecoder {
    /// The rules of `history`, each with a filter and at least one limit.
    mutating func decodeHistory(_ file: ConfigurationSection) {
        if let node = file.value(of: "history"), case .nothing = node.content { return }
        guard let items = decoder.items(of: file, "history", expected: "a list of rules ([] for none)") else { return }
        var seen: [String: String] = [:]
        settings.history = []
        for (node, path) in items {
            guard let section = decoder.section(node, path: path, kind: "history[]") else { continue }
            var rule = Settings.History(filter: "")
            let isFilter = decodeFilter(section, into: &rule.filter)
            let count = ConfigurationValue<Int>.count(1...1_000_000_000_000)
            let age = ConfigurationValue<Duration>.duration(.seconds(1) ... .seconds(3650 * 86_400))
            let size = ConfigurationValue<Int>.size(1...64 << 40)
            decoder.decode(section, "messages", count.liftable, into: &rule.messages)
            decoder.decode(section, "age", age.liftable, into: &rule.age)
            decoder.decode(section, "bytes", size.liftable, into: &rule.bytes)
            if ["messages", "age", "bytes"].allSatisfy({ section.value(of: $0) == nil }) {
                decoder.fail(section.mark, path, "expected messages, age or bytes, found none of them")
            }
            if isFilter, let first = seen[rule.filter] {
                let mark = section.value(of: "filter")?.mark ?? section.mark
                decoder.fail(mark, "\(path).filter", "expected another filter, found that of \(first)")
            } else if isFilter {
                seen[rule.filter] = path
            }
            settings.history.append(rule)
        }
    }

    private mutating func decodeFilter(_ section: ConfigurationSection, into filter: inout String) -> Bool {
        let key = section.path.appendingKey("filter")
        let expected = "a topic filter such as \"chat/#\""
        guard let node = section.value(of: "filter") else {
            decoder.fail(section.mark, key, "expected \(expected), found nothing")
            return false
        }
        guard case .scalar(let text, _) = node.content else {
            decoder.fail(node, key, expected: expected)
            return false
        }
        do throws(TopicError) {
            filter = try TopicFilter(text, limits: settings.topicLimits).name
            return true
        } catch {
            decoder.fail(node.mark, key, "expected \(expected), found \(node.summary): \(error)")
            return false
        }
    }
}
