import Dispatch
import Glibc
import Synchronization
import Testing

@testable import Broker
@testable import WSTransport

/// The error of a test whose wait has timed out.
struct NothingCame: Error {}

/// One value that another thread hands over.
final class Answer<Value: Sendable>: Sendable {
    private let value = Mutex<Value?>(nil)
    private let isThere = DispatchSemaphore(value: 0)

    func put(_ new: Value) {
        value.withLock { $0 = new }
        isThere.signal()
    }

    func get() throws -> Value {
        guard isThere.wait(timeout: .now() + 60) == .success, let value = value.withLock({ $0 }) else {
            throw NothingCame()
        }
        return value
    }
}

/// A broker's exchange without listeners: shards on their own threads, a sequencer, a store and its thread.
final class ExchangeHarness {
    let store: any MessageStore
    let sequencer: Sequencer
    let counters: [ShardCounters]
    /// Receives every message besides the shards, for comparison.
    let log = Mailbox<ShardEvent>(wakeup: {})
    let engine = MemoryEngine()
    private let inbox: Inbox
    private let storeThread: StoreThread
    let remotes: [Remote]
    /// The orders of shared logs, by partition.
    private(set) var readers: [LogOrder] = []
    /// The engines of the harness's own logs, by partition.
    private(set) var engines: [MemoryEngine] = []
    private var threads: [Int: ThreadHandle] = [:]

    /// - Parameters:
    ///   - order: the reactors' numbers, in the order in which their shards join the sequencer.
    ///   - isDelayed: whether publications get their numbers some turns later.
    ///   - isLogged: whether they get them from a log.
    ///   - partitions: how many there are; each has its own log.
    ///   - logs: those that several brokers share, in place of the harness's own.
    init(
        _ store: any MessageStore = InMemoryStore(), order: [Int] = [0], settings: Settings = Settings(),
        isDelayed: Bool = false, isLogged: Bool = false, partitions: Partitions = .one, logs: SharedLogs? = nil
    ) throws {
        let settings = settings.patient
        self.store = store
        let all = logs?.partitions ?? partitions
        // An order of its own would reserve numbers.
        let local = all.count > 1 ? nil : try LocalOrder(store: store, rules: HistoryRules(settings))
        let sequencer =
            try local?.sequencer ?? Sequencer(store: store, rules: HistoryRules(settings), partitions: all)
        self.sequencer = sequencer
        // The sequencer holds the thread, and with it the mailboxes of reactors that have ended.
        storeThread = StoreThread(
            store: store, maximumQueuedBytes: 64 << 20, onSettled: { [weak sequencer] in sequencer?.settled($0) },
            onExpired: { [weak sequencer] in sequencer?.announce($0) })
        remotes = try order.map { _ in try Remote() }
        counters = order.map { _ in ShardCounters() }
        try storeThread.start()
        if let local { local.attach(storeThread) } else { sequencer.attach(storeThread) }
        var chosen: any Order = (local as (any Order)?) ?? PartitionedOrder([])
        if isDelayed, let local {
            chosen = DelayedOrder(local, remotes: Dictionary(uniqueKeysWithValues: zip(0..., remotes)))
        }
        if isLogged {
            let logged = try LogOrder(sequencer, engine: engine, node: 1, incarnation: 1)
            try engine.begin(for: logged)
            chosen = logged
        }
        if let logs {
            readers = try logs.join(sequencer, from: try store.orderMark())
            chosen = PartitionedOrder(readers)
        } else if partitions.count > 1 {
            let group = try LogGroup(partitions, from: nil)
            let engines = (0..<partitions.count).map { _ in MemoryEngine() }
            self.engines = engines
            var orders: [LogOrder] = []
            for (partition, engine) in engines.enumerated() {
                let order = try LogOrder(
                    sequencer, engine: engine, node: 1, incarnation: 1, partition: partition, of: group)
                try engine.begin(for: order)
                orders.append(order)
            }
            chosen = PartitionedOrder(orders)
        }
        inbox = sequencer.join(log, shard: -1)
        for index in order {
            let reactor = try Reactor(index: index, counters: ReactorCounters(), remote: remotes[index])
            reactor.ringMinimum = 1
            let shard = Shard(
                reactor: reactor, sequencer: sequencer, order: chosen, store: store,
                settings: settings, counters: counters[index])
            // There are no other references from here on.
            nonisolated(unsafe) let owned = (reactor, shard)
            threads[index] = try startThread(named: "shard-\(index)") { owned.0.run() }
        }
    }

    deinit {
        storeThread.stop()
        for remote in remotes {
            remote.run { reactor in
                // Those that wait hold their shard, and it holds them.
                reactor[Shard.self]?.catchUp.forget()
                reactor.stop()
            }
        }
        for thread in threads.values { thread.join() }
    }

    /// Applies other settings and rules on every shard, as a reload does.
    func reload(_ settings: Settings) throws {
        sequencer.adopt(HistoryRules(settings))
        for index in remotes.indices { try run(on: index) { $0.adopt(settings.patient) } }
    }

    /// Ends a shard's thread.
    func stop(_ index: Int) {
        remotes[index].run { $0.stop() }
        threads.removeValue(forKey: index)?.join()
    }

    /// Waits until `condition` holds on a shard, polling each millisecond: only for states that are not reported.
    func wait(on index: Int = 0, until condition: @escaping @Sendable (Shard) -> Bool) throws {
        let answer = Answer<Bool>()
        @Sendable func look(_ reactor: Reactor) {
            guard let shard = reactor[Shard.self], !condition(shard) else { return answer.put(true) }
            reactor.run(afterNanoseconds: 1_000_000) { [unowned reactor] in look(reactor) }
        }
        remotes[index].run { look($0) }
        _ = try answer.get()
    }

    /// Runs `body` on a shard's thread and hands its value back.
    @discardableResult
    func run<Value: Sendable>(on index: Int = 0, _ body: @escaping @Sendable (Shard) -> Value) throws -> Value {
        let answer = Answer<Value>()
        remotes[index].run { reactor in
            if let shard = reactor[Shard.self] { answer.put(body(shard)) }
        }
        return try answer.get()
    }

    /// Publishes at the end of a turn and waits for the acknowledgement.
    func publish(on index: Int = 0, _ drafts: [Draft]) throws -> [Result<Receipt, Refusal>] {
        let answer = Answer<[Result<Receipt, Refusal>]>()
        nonisolated(unsafe) let drafts = drafts
        remotes[index].run { reactor in
            let collected = Collected(drafts.count, answer)
            for (number, draft) in drafts.enumerated() {
                var draft = draft
                draft.completion = { collected.add(number, $0) }
                reactor[Shard.self]?.publish(draft, from: nil)
            }
        }
        return try answer.get()
    }

    /// Connects a peer, served by what `makeDriver` makes.
    ///
    /// - Parameters:
    ///   - sendBuffer: how much the kernel keeps for a peer that does not read, in bytes; `nil`: its default.
    ///   - start: the bytes that the peer has sent when the connection begins, so that no time-out can occur first.
    func connectStream(
        on index: Int = 0, sendBuffer: Int32? = nil, start: [UInt8] = [],
        _ makeDriver: @escaping @Sendable (Shard, StreamConnection) -> any StreamDriver
    ) throws -> StubClient {
        var ends: [Int32] = [-1, -1]
        try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0)
        let (ours, theirs) = (ends[0], ends[1])
        try #require(fcntl(theirs, F_SETFL, fcntl(theirs, F_GETFL) | O_NONBLOCK) == 0)
        if var sendBuffer {
            setsockopt(theirs, SOL_SOCKET, SO_SNDBUF, &sendBuffer, socklen_t(MemoryLayout<Int32>.size))
        }
        let stub = StubClient(descriptor: ours, harness: self)
        try stub.write(start)
        try run(on: index) { shard in
            let stream = shard.reactor.adopt(FileDescriptor(adopting: theirs), peer: nil)
            stream.driver = makeDriver(shard, stream)
        }
        return stub
    }

    /// Connects a WebSocket without a handshake, served by what `makeSession` makes.
    func connect(
        on index: Int = 0, sendBuffer: Int32? = nil,
        _ makeSession: @escaping @Sendable (Shard, WebSocketConnection) -> any WebSocketSession
    ) throws -> StubClient {
        try connectStream(on: index, sendBuffer: sendBuffer) { shard, stream in
            let socket = WebSocketConnection(
                stream: stream, role: .server, subprotocol: "", options: shard.endpoints.settings.socketOptions)
            socket.session = makeSession(shard, socket)
            return socket
        }
    }

    /// Connects a client of `broker.v1.json`, past its welcome.
    func connectJSON(
        on index: Int = 0, as principal: Principal = .anonymous, sendBuffer: Int32? = nil
    ) throws -> StubClient {
        let stub = try connect(on: index, sendBuffer: sendBuffer) { shard, socket in
            let client = shard.makeClient(principal, peer: nil, protocolName: JSONSession.subprotocol)
            return JSONSession(shard: shard, socket: socket, client: client)
        }
        let welcome = try stub.receive()
        #expect(welcome.op == "welcome")
        stub.client = try #require(welcome.client.flatMap { UInt64($0, radix: 36) })
        return stub
    }

    /// Every message so far, in order, since this was last asked.
    func published() -> [Message] {
        log.drain().flatMap { event in
            guard case .applied(let batch) = event else { return [Message]() }
            inbox.delivered(batch)
            return batch.messages
        }
    }
}

extension Settings {
    /// The same for tests, whose clients may not read for long where many tests run: no PING comes, and no backlog is
    /// too old.
    var patient: Settings {
        var settings = self
        settings.keepalive.interval = nil
        settings.limits.pendingAge = nil
        return settings
    }
}

/// The results of several publications, on one thread.
private final class Collected {
    private var results: [Result<Receipt, Refusal>?]
    private var missing: Int
    private let answer: Answer<[Result<Receipt, Refusal>]>

    init(_ count: Int, _ answer: Answer<[Result<Receipt, Refusal>]>) {
        results = Array(repeating: nil, count: count)
        missing = count
        self.answer = answer
    }

    func add(_ number: Int, _ result: Result<Receipt, Refusal>) {
        results[number] = result
        missing -= 1
        if missing == 0 { answer.put(results.compactMap { $0 }) }
    }
}

/// A publication of text; an empty one that is retained removes the value.
func draft(_ name: String, _ payload: String = "x", retained: Bool = false) throws -> Draft {
    var draft = Draft(topic: try topic(name), payload: Array(payload.utf8), kind: .text)
    draft.isRetained = retained
    draft.acknowledgement = retained ? .stored : .routed
    return draft
}

extension Result {
    /// The value of a success.
    var value: Success? { try? get() }

    /// The error of a failure.
    var error: Failure? {
        guard case .failure(let error) = self else { return nil }
        return error
    }
}
