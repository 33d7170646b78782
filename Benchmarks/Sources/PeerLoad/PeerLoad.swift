import Glibc
import Load
import WSTransport

/// One run against one server, for Benchmarks/peers.py: prints the results as one line of `name=value`.
@main struct PeerLoad {
    static func main() {
        do {
            let options = try Options(CommandLine.arguments.dropFirst())
            guard let server = SocketAddress(host: "127.0.0.1", port: options.port) else {
                throw LoadError("port \(options.port)")
            }
            var plan = LoadPlan(server: server, host: "127.0.0.1:\(options.port)", dialect: try options.dialect())
            plan.subscribers = options.subscribers
            plan.publishers = options.publishers
            plan.isPaired = options.isPaired
            plan.messages = options.messages
            plan.warmUp = options.warmUp
            plan.burst = options.burst
            plan.payloadSize = options.size
            plan.serverProcess = options.process
            if let rate = options.rate { plan.pace = .open(messagesPerSecond: rate) }
            plan.offersCompression = options.compresses
            if let authorities = options.authorities {
                plan.security = LoadPlan.Security(context: try TLSContext.client(.file(authorities)), name: "localhost")
            }
            let report: LoadReport
            switch options.mode {
            case "measure": report = try LoadRun(plan).measure()
            case "hold": report = try LoadRun(plan).listen(nanoseconds: 3_600_000_000_000)
            case "storm":
                plan.publishers = 0
                plan.openingAtOnce = .max
                plan.patience = 60_000_000_000
                report = try LoadRun(plan).arrive()
            default: throw LoadError("unknown mode \(options.mode)")
            }
            guard report.isComplete else {
                throw LoadError("\(report.delivered) of \(report.expected) arrived, \(report.wrong) were wrong")
            }
            print(
                "arrivals=\(report.arrivals) server=\(report.serverNanosecondsPerArrival ?? 0)",
                "memory=\(report.serverBytesPerConnection ?? 0) opening=\(report.serverNanosecondsPerOpening ?? 0)",
                "rate=\(report.arrivalsPerSecond) seconds=\(Double(report.nanoseconds) / 1e9)",
                "p50=\(report.latency.quantile(0.5)) p99=\(report.latency.quantile(0.99))",
                "p999=\(report.latency.quantile(0.999)) max=\(report.latency.maximum)")
        } catch {
            print("load: \(error)")
            exit(1)
        }
    }
}

/// `name=value` arguments.
private struct Options {
    var dialectName = "topic"
    var port: UInt16 = 0
    var process: Int32?
    var subscribers = 1000
    var publishers = 1
    /// Whether subscriber n gets what publisher n sends; the dialect has a topic for each.
    var isPaired = false
    var messages = 100
    var warmUp = 10
    var burst = 1
    var size = 64
    var rate: Double?
    var compresses = false
    /// A PEM file: TLS is spoken, with a server that is `localhost`.
    var authorities: String?
    /// `measure`: publications; `storm`: many connections at once; `hold`: nothing, until it is ended.
    var mode = "measure"

    init(_ arguments: ArraySlice<String>) throws(LoadError) {
        for argument in arguments {
            let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2 else { throw LoadError("expected name=value, found \(argument)") }
            switch parts[0] {
            case "dialect": dialectName = parts[1]
            case "port": port = UInt16(parts[1]) ?? 0
            case "process": process = Int32(parts[1])
            case "subscribers": subscribers = Int(parts[1]) ?? 0
            case "publishers": publishers = Int(parts[1]) ?? 0
            case "paired": isPaired = parts[1] == "1"
            case "messages": messages = Int(parts[1]) ?? 0
            case "warmup": warmUp = Int(parts[1]) ?? 0
            case "burst": burst = Int(parts[1]) ?? 1
            case "size": size = Int(parts[1]) ?? 64
            case "compress": compresses = parts[1] == "1"
            case "ca": authorities = parts[1]
            case "mode": mode = parts[1]
            case "rate": rate = Double(parts[1])
            default: throw LoadError("unknown: \(argument)")
            }
        }
    }

    func dialect() throws(LoadError) -> any LoadDialect {
        switch dialectName {
        case "topic" where isPaired: return TopicPairDialect()
        case "json" where isPaired: return JSONPairDialect()
        case "topic": return TopicDialect(prefix: "", topic: "bench")
        case "json": return JSONDialect(topic: "bench/1", filter: "bench/+")
        case "stored":
            return JSONDialect(topic: "bench/stored", filter: "bench/stored", isRetaining: true, isAcknowledged: true)
        // The same without the disk.
        case "routed": return JSONDialect(topic: "bench/routed", filter: "bench/routed", isAcknowledged: true)
        case "retained": return RetainedDialect(target: "/t/storm")
        case "echo": return EchoDialect(target: "/echo")
        case "nats": return NATSDialect(isWebSocket: true, isPaired: isPaired)
        case "nats-tcp": return NATSDialect(isWebSocket: false, isPaired: isPaired)
        case "mqtt": return MQTTDialect()
        default: throw LoadError("unknown dialect \(dialectName)")
        }
    }
}
