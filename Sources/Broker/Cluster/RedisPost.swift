internal import WSTransport

/// The letters between brokers, through the engine: a short stream for each broker, which that one reads and empties.
///
/// Letters are lost if the engine is, and no broker relies on them: the sender reports which brokers have not answered.
/// Runs on its reactor's thread.
final class RedisPost {
    private let options: RedisLog.Options
    private let keys: EngineFunctions.Keys
    private let reactor: Reactor
    private var route: EngineRoute?
    private var link: EngineLink?
    /// The last entry that was read.
    private var place = "0-0"

    /// The approximate maximum number of letters that wait for a broker.
    private static let maximumWaiting: UInt64 = 256
    /// How many are read at once, and how long the server waits for one, in milliseconds.
    private static let (batch, block): (UInt64, UInt64) = (4, 300)
    /// The largest letter, in bytes.
    static let maximumSize = 32 << 20

    init(_ options: RedisLog.Options, keys: EngineFunctions.Keys, on reactor: Reactor) {
        (self.options, self.keys, self.reactor) = (options, keys, reactor)
        var limits = options.limits
        limits.answers.maximumSize = max(limits.answers.maximumSize, Int(Self.batch + 1) * Self.maximumSize)
        route = EngineRoute(to: .primary, at: options.place, options.access, limits, on: reactor) { [weak self] event in
            switch event {
            case .open(let link): self?.opened(link)
            case .failed: self?.link = nil
            }
        }
    }

    func start() { route?.start() }

    func stop() {
        route?.stop()
        (route, link) = (nil, nil)
    }

    /// The command that sends a letter; `nil` if it is too large.
    func command(sending letter: NodeLetter, to node: UInt64) -> RESPCommand? {
        guard letter.content.count <= Self.maximumSize else { return nil }
        return [
            "XADD", .text(keys.post(of: node)), "MAXLEN", "~", .number(Self.maximumWaiting), "*", "l",
            .bytes(letter.bytes),
        ]
    }

    private func opened(_ link: EngineLink) {
        self.link = link
        // No caller waits for letters to an earlier process, or from before a failover.
        place = "0-0"
        link.ask(["DEL", .text(keys.post(of: options.node))]) { _ in }
        read()
    }

    private func read() {
        guard let link else { return }
        let command: RESPCommand = [
            "XREAD", "COUNT", .number(Self.batch), "BLOCK", .number(Self.block), "STREAMS",
            .text(keys.post(of: options.node)), .text(place),
        ]
        link.ask(command, patience: options.limits.timeout + Int64(Self.block) * 1_000_000) {
            [weak self, weak link] answer in
            guard let self, let link, link === self.link else { return }
            switch answer {
            case .success(let value): take(value, link)
            case .failure(.refused(let error)): route?.abandon(.refused(error))
            case .failure: break
            }
        }
    }

    private func take(_ value: RESPValue, _ link: EngineLink) {
        for entry in value.elements?.first?.elements?.last?.elements ?? [] {
            guard let parts = entry.elements, parts.count == 2, let text = parts[0].text else { continue }
            place = text
            guard let fields = parts[1].elements, fields.count == 2, case .bytes(let bytes) = fields[1],
                let letter = NodeLetter(bytes)
            else { continue }
            options.onLetter(letter)
        }
        if value.elements?.isEmpty == false {
            let bounds = place.split(separator: "-").compactMap { UInt64($0) }
            if bounds.count == 2 {
                let next = "\(bounds[0])-\(bounds[1] &+ 1)"
                link.ask(["XTRIM", .text(keys.post(of: options.node)), "MINID", .text(next)]) { _ in }
            }
        }
        read()
    }
}
