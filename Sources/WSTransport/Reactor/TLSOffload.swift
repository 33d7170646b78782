internal import Synchronization

/// What the threads of the pool do for a connection: one step of a TLS handshake, whose keys and certificates take
/// longer than a reactor's other connections should wait.
///
/// The session goes along: from ``run(_:)`` until its connection has taken it back, nobody else touches it.
@safe final class TLSOffload: Sendable {
    /// The most connections that may wait for a thread, of the whole process.
    static let maximumWaiting = 16_384

    /// As many threads as processors, which a storm of clients takes only as far as the reactors leave them.
    private static let pool = WorkerPool(
        name: "tls-handshake", maximumThreads: Machine.processors, maximumWaiting: maximumWaiting, isModest: true)

    // Used on one thread at a time: the letters between them come after what they tell of.
    nonisolated(unsafe) let session: TLSSession
    private let input: [UInt8]
    private let connection: UInt64
    private let home: Remote
    private let isAbandoned = Atomic<Bool>(false)
    private let result = Mutex<(output: [UInt8], plaintext: [UInt8])>(([], []))

    /// Takes `input`, which has come for `session` of a connection of the reactor that `home` leads to.
    init(_ session: TLSSession, _ input: UnsafeRawBufferPointer, connection: UInt64, home: Remote) {
        unsafe self.session = session
        self.input = unsafe Array(input)
        self.connection = connection
        self.home = home
    }

    /// Has the pool go on with the handshake, and come back to the connection; `false` where too many wait already.
    static func run(_ offload: TLSOffload) -> Bool {
        pool.run {
            offload.step()
            offload.home.run { reactor in
                reactor.counters.tlsWaiting.add(-1)
                reactor.connection(of: offload.connection)?.shookHands(offload)
            }
        }
    }

    /// The connection is gone: the step need not be taken.
    func abandon() { isAbandoned.store(true, ordering: .relaxed) }

    /// What was put out for the network, and the plaintext that followed the handshake.
    var product: (output: [UInt8], plaintext: [UInt8]) { result.withLock { $0 } }

    private func step() {
        guard !isAbandoned.load(ordering: .relaxed) else { return }
        let pipe = TLSPipe(maximumInput: input.count)
        unsafe session.move(to: pipe)
        let plaintext = unsafe input.withUnsafeBytes { unsafe Array(session.receive($0)) }
        result.withLock { $0 = (pipe.output, plaintext) }
    }
}
