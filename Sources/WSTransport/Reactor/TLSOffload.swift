internal import Synchronization

/// One step of a TLS handshake, performed by a thread of the pool: keys and certificates take longer than a reactor's
/// other connections should wait.
///
/// The session goes with it: from ``run(_:)`` until its connection has taken it back, nothing else uses it.
@safe final class TLSOffload: Sendable {
    /// The maximum number of connections waiting for a thread, in the whole process.
    static let maximumWaiting = 16_384

    /// As many threads as processors; they run at low priority, so the reactors come first when many clients connect.
    private static let pool = WorkerPool(
        name: "tls-handshake", maximumThreads: Machine.processors, maximumWaiting: maximumWaiting, isModest: true)

    // Used by one thread at a time: the messages between the threads order the accesses.
    nonisolated(unsafe) let session: TLSSession
    private let input: [UInt8]
    private let connection: UInt64
    private let home: Remote
    private let isAbandoned = Atomic<Bool>(false)
    private let result = Mutex<(output: [UInt8], plaintext: [UInt8])>(([], []))

    /// Takes `input`, which has arrived for `session`, a session of a connection on the reactor of `home`.
    init(_ session: TLSSession, _ input: UnsafeRawBufferPointer, connection: UInt64, home: Remote) {
        unsafe self.session = session
        self.input = unsafe Array(input)
        self.connection = connection
        self.home = home
    }

    /// Lets the pool continue the handshake and return to the connection; `false` if too many wait already.
    static func run(_ offload: TLSOffload) -> Bool {
        pool.run {
            offload.step()
            offload.home.run { reactor in
                reactor.counters.tlsWaiting.add(-1)
                reactor.connection(of: offload.connection)?.shookHands(offload)
            }
        }
    }

    /// Records that the connection has ended, so that the step need not be performed.
    func abandon() { isAbandoned.store(true, ordering: .relaxed) }

    /// The output for the network, and the plaintext that followed the handshake.
    var product: (output: [UInt8], plaintext: [UInt8]) { result.withLock { $0 } }

    private func step() {
        guard !isAbandoned.load(ordering: .relaxed) else { return }
        let pipe = TLSPipe(maximumInput: input.count)
        unsafe session.move(to: pipe)
        let plaintext = unsafe input.withUnsafeBytes { unsafe Array(session.receive($0)) }
        let output = unsafe pipe.withOutput { unsafe Array($0) }
        result.withLock { $0 = (output, plaintext) }
    }
}
