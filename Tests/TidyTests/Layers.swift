/// The architecture, as a table: what each folder of `Sources` may import, and whose types it may name.
///
/// A folder is the first two parts of a path; the files that lie in a target's own folder are that target's root.
enum Layers {
    struct Layer {
        /// The modules it may import.
        var imports: Set<String> = []
        /// The folders whose types it may name, besides its own; it may also name the types that these folders may
        /// name.
        var uses: Set<String> = []
        /// Single types of folders above or beside it that it names nevertheless: debts.
        var borrows: Set<String> = []
        /// Names that it may not mention although the compiler allows it, because its users could not write them
        /// either.
        var avoids: Set<String> = []
    }

    static let table: [String: Layer] = [
        "WSTransport/Protocol": Layer(imports: ["CSIMD", "CZlib"]),
        "WSTransport/System": Layer(imports: ["CLinux", "Glibc", "Synchronization"]),
        "WSTransport/TLS": Layer(imports: ["CLinux", "COpenSSL", "Glibc", "Synchronization"]),
        "WSTransport/Reactor": Layer(
            imports: ["CLinux", "Glibc", "Synchronization"], uses: ["WSTransport/System", "WSTransport/TLS"]),
        "WSTransport/HTTP": Layer(
            imports: ["CLinux", "Glibc", "Synchronization"], uses: ["WSTransport/Protocol", "WSTransport/Reactor"]),
        "WSTransport/WebSocket": Layer(
            imports: ["CLinux", "Glibc", "Synchronization"], uses: ["WSTransport/HTTP"]),
        "WSTransport/Stream": Layer(
            imports: ["Synchronization"], uses: ["WSTransport/Protocol", "WSTransport/Reactor"]),
        "WSTransport/Message": Layer(
            imports: ["Synchronization"], uses: ["WSTransport/HTTP", "WSTransport/Stream"]),
        "WSTransport/Socket": Layer(
            imports: ["Synchronization"], uses: ["WSTransport/Message", "WSTransport/WebSocket"]),
        "WSTransport/Server": Layer(imports: ["Synchronization"], uses: ["WSTransport/Socket"]),
        "WSTransport": Layer(imports: ["Synchronization"], uses: ["WSTransport/Server"]),

        "Cryptography": Layer(
            imports: ["COpenSSL", "WSTransport"], uses: ["WSTransport/Protocol"]),

        "WSTransportCoding/MessagePack": Layer(imports: ["FoundationEssentials"]),
        "WSTransportCoding": Layer(
            imports: ["FoundationEssentials", "WSTransport"], uses: ["WSTransportCoding/MessagePack", "WSTransport"]),

        "WSTransportTesting": Layer(imports: ["WSTransport"], uses: ["WSTransport"]),

        "WSTransportServices": Layer(
            imports: ["CoreMetrics", "Logging", "ServiceLifecycle", "Synchronization", "WSTransport"],
            uses: ["WSTransport"]),

        "Broker/Topics": Layer(imports: ["Synchronization"]),
        "Broker/JSON": Layer(imports: ["CSIMD"]),
        "Broker/MessagePack": Layer(uses: ["Broker/JSON"]),
        "Broker/RESP": Layer(),
        "Broker/Access": Layer(
            imports: ["CLinux", "Cryptography", "Glibc", "Synchronization", "WSTransport"],
            uses: ["Broker/JSON", "Broker/Topics", "Cryptography", "WSTransport/WebSocket"]),
        "Broker/Events": Layer(
            imports: ["Synchronization", "WSTransport"], uses: ["Broker/JSON", "WSTransport/System"]),
        "Broker/Audit": Layer(
            imports: ["Synchronization", "WSTransport"],
            uses: ["Broker/Events", "Broker/JSON", "WSTransport/System"]),
        "Broker/Exchange": Layer(
            imports: ["CLinux", "Glibc", "Synchronization", "WSTransport"],
            uses: ["Broker/Topics", "Broker/Access", "WSTransport/Reactor"]),
        "Broker/Engine": Layer(imports: ["WSTransport"], uses: ["Broker/RESP", "WSTransport/WebSocket"]),
        "Broker/Cluster": Layer(
            imports: ["Synchronization", "WSTransport"], uses: ["Broker/Engine", "Broker/Exchange"]),
        "Broker/Endpoints": Layer(
            imports: ["Synchronization", "WSTransport"],
            uses: [
                "Broker/Audit", "Broker/Exchange", "Broker/JSON", "Broker/MessagePack", "Broker/Configuration",
                "WSTransport",
            ]),
        "Broker/Store": Layer(
            imports: ["CLMDB", "CLinux", "Glibc", "Synchronization", "WSTransport"],
            uses: ["Broker/Exchange", "WSTransport/Protocol"]),
        "Broker/Configuration": Layer(
            imports: ["CLinux", "CYAML", "Cryptography", "Glibc", "WSTransport"],
            uses: ["Broker/Access", "Broker/JSON", "Broker/Topics", "Cryptography"]),
        "Broker/Metrics": Layer(
            imports: ["Glibc", "Synchronization", "WSTransport"],
            uses: ["Broker/Audit", "Broker/Events", "Broker/Exchange"]),
        "Broker/AdminProtocol": Layer(
            imports: ["WSTransport"], uses: ["Broker/Access", "Broker/JSON", "WSTransport/Protocol"]),
        "Broker/Admin": Layer(
            imports: ["CLinux", "Cryptography", "Glibc", "Synchronization", "WSTransport"],
            uses: ["Broker/AdminProtocol", "Broker/Endpoints", "Broker/Metrics"]),
        "Broker/Wiring": Layer(
            imports: ["Cryptography", "Glibc", "Synchronization", "WSTransport"],
            uses: ["Broker/AdminProtocol", "Broker/Cluster", "Broker/Configuration", "Broker/Endpoints"]),
        "Broker": Layer(
            imports: ["CLinux", "Cryptography", "Glibc", "Synchronization", "WSTransport"],
            uses: [
                "Broker/Admin", "Broker/Cluster", "Broker/Configuration", "Broker/Endpoints", "Broker/Metrics",
                "Broker/Store", "Broker/Wiring",
            ]),

        "brokerd": Layer(
            imports: ["ArgumentParser", "Broker", "CLinux", "Glibc", "Logging", "Synchronization", "WSTransport"],
            uses: ["Broker"]),
        "Load": Layer(imports: ["Glibc", "WSTransport"], uses: ["WSTransport/WebSocket"]),
        "brokerctl": Layer(
            imports: [
                "ArgumentParser", "Broker", "CLinux", "Cryptography", "Glibc", "Load", "Synchronization", "WSTransport",
            ],
            uses: ["Broker", "Cryptography", "Load"],
            // It speaks to brokers as any other program would: by the library's public client.
            avoids: [
                "ClientHandshake", "ClientOpening", "ClientOptions", "CloseEvent", "ConnectError", "PlainFetch",
                "WebSocketConnection", "WebSocketOptions", "WebSocketURL", "closeEvent",
            ]),
    ]

    static let sources = Repository.swiftFiles(in: "Sources")

    /// The layer that `source`, a path below `Sources`, lies in.
    static func folder(of source: String) -> String {
        source.split(separator: "/").dropFirst().dropLast().prefix(2).joined(separator: "/")
    }

    /// The folders whose types a file of `folder` may name, its own among them.
    static func reachable(from folder: String) -> Set<String> {
        var reached: Set<String> = []
        var open = [folder]
        while let next = open.popLast() {
            guard reached.insert(next).inserted else { continue }
            open += table[next]?.uses ?? []
        }
        return reached
    }
}
