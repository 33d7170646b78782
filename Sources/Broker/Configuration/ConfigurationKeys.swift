/// Every key that a configuration may hold, by section; `Config/broker.yaml` shows them all.
///
/// A section is named by its path, list items by `[]`. Keys of settings that this version refuses stand here, too: it
/// knows them, and says what is wrong with them.
package enum ConfigurationKeys {
    static let sections: [String: [String]] = [
        "": [
            "listen", "data_dir", "reactors", "limits", "keepalive", "store", "retained", "history", "compression",
            "origins", "hosts", "drain", "access", "admin", "metrics", "system_topics", "log",
        ],
        "listen[]": ["address", "ipv6_only", "mode", "group", "path_prefix", "proxy_protocol", "tls"],
        "listen[].tls": ["certificate", "key", "certificates", "client_ca"],
        "listen[].tls.certificates[]": ["certificate", "key"],
        "reactors": ["count", "backend"],
        "limits": [
            "connections", "connections_per_address", "handshake_timeout", "idle_timeout", "request_head", "message",
            "topic",
            "topic_levels", "wildcards", "subscriptions_per_client", "subscriptions", "pending", "pending_age",
            "unsent_in_kernel", "publish_rate", "memory",
        ],
        "drain": ["reconnects_per_second"],
        "keepalive": ["interval", "timeout"],
        "store": ["maximum_size", "views"],
        "retained": ["maximum_messages", "maximum_bytes"],
        "history[]": ["filter", "messages", "age", "bytes"],
        "compression": ["enabled", "level", "minimum"],
        "access": ["anonymous", "anonymous_anywhere", "users", "jwt", "rules"],
        "access.anonymous": ["publish", "subscribe"],
        "access.jwt": ["keys", "issuer", "audience"],
        "access.rules[]": ["user", "role", "publish", "subscribe", "deny"],
        "admin": ["socket"],
        "metrics": ["enabled"],
        "system_topics": ["interval"],
        "log": ["level", "format"],
    ]

    /// What to say of a key that `section` does not have.
    static func advice(on key: String, in section: String) -> String {
        let known = sections[section] ?? []
        if let nearest = nearest(to: key, among: known) { return "unknown key, did you mean \"\(nearest)\"?" }
        let others = sections.filter { $0.value.contains(key) }.keys
        if others.count == 1, let other = others.first, !other.hasSuffix("[]") {
            return "unknown key, did you mean \"\(other.appendingKey(key))\"?"
        }
        return "unknown key, expected \(known.count == 1 ? "" : "one of ")\(known.joined(separator: ", "))"
    }

    /// The candidate with the fewest edits from `key`, if a slip of the pen explains them.
    package static func nearest(to key: String, among candidates: [String]) -> String? {
        let key = key.lowercased()
        guard key.utf8.count <= 64 else { return nil }
        let distances = candidates.map { ($0, distance(Array(key.utf8), Array($0.utf8))) }
        guard let best = distances.min(by: { $0.1 < $1.1 }) else { return nil }
        return best.1 <= max(1, min(3, best.0.utf8.count / 3)) ? best.0 : nil
    }

    /// The least number of inserted, removed, replaced and swapped bytes (optimal string alignment).
    private static func distance(_ first: [UInt8], _ second: [UInt8]) -> Int {
        var rows = [Array(0...second.count)]
        for row in 0..<first.count {
            var next = [row + 1]
            for column in 0..<second.count {
                let replaced = rows[row][column] + (first[row] == second[column] ? 0 : 1)
                var best = min(replaced, rows[row][column + 1] + 1, next[column] + 1)
                if row > 0, column > 0, first[row] == second[column - 1], first[row - 1] == second[column] {
                    best = min(best, rows[row - 1][column - 1] + 1)
                }
                next.append(best)
            }
            rows.append(next)
        }
        return rows[first.count][second.count]
    }
}
