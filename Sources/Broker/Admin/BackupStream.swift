internal import CLinux
internal import Glibc
internal import Synchronization
internal import WSTransport

/// A copy of the store on its way to an administrator, a piece each time one is asked for.
///
/// One thread writes the copy into a pipe, another reads the pieces out of it, so that a slow administrator makes no
/// reactor wait. Any thread.
final class BackupStream: Sendable {
    /// What is handed over.
    enum Piece: Sendable {
        case bytes([UInt8])
        /// That was all; or why it is not.
        case end(failure: String?)
    }

    /// In bytes.
    static let pieceLength = 1 << 20

    private let requests = Semaphore()
    private let isAbandoned = Atomic<Bool>(false)
    private let copy: @Sendable (Int32) throws(StorageError) -> Void
    private let deliver: @Sendable (Piece) -> Void

    /// - Parameters:
    ///   - copy: writes the whole copy to a descriptor; on a thread of its own.
    ///   - deliver: gets the pieces, on another.
    init(
        copy: @escaping @Sendable (Int32) throws(StorageError) -> Void, deliver: @escaping @Sendable (Piece) -> Void
    ) {
        self.copy = copy
        self.deliver = deliver
    }

    /// Asks for one more piece.
    func ask() { requests.signal() }

    /// Ends it; what is delivered next is an end.
    func abandon() {
        isAbandoned.store(true, ordering: .relaxed)
        requests.signal()
    }

    /// Begins to copy; the returned thread ends with the last piece.
    func start() throws(Errno) -> ThreadHandle {
        var ends: [Int32] = [-1, -1]
        guard unsafe pipe2(&ends, Int32(O_CLOEXEC)) == 0 else { throw .current }
        let (source, target) = (ends[0], ends[1])
        let outcome = Outcome()
        let writer: ThreadHandle
        do throws(Errno) {
            writer = try startThread(named: "backup-copy") { [copy] in
                do throws(StorageError) { try copy(target) } catch { outcome.set("\(error)") }
                close(target)
            }
        } catch {
            close(source)
            close(target)
            throw error
        }
        do throws(Errno) {
            return try startThread(named: "backup") { [self] in hand(source, writer, outcome) }
        } catch {
            close(source)
            writer.join()
            throw error
        }
    }

    private func hand(_ source: Int32, _ writer: ThreadHandle, _ outcome: Outcome) {
        while true {
            requests.wait()
            let piece = isAbandoned.load(ordering: .relaxed) ? [] : Self.read(source)
            if piece.isEmpty { break }
            deliver(.bytes(piece))
        }
        // The copy ends at once where it is not yet through: nobody reads it any more.
        close(source)
        writer.join()
        let isWhole = !isAbandoned.load(ordering: .relaxed)
        deliver(.end(failure: isWhole ? outcome.text : "the backup was given up"))
    }

    /// A whole piece, or what is left.
    private static func read(_ source: Int32) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: pieceLength)
        var count = 0
        while count < pieceLength {
            let result = unsafe bytes.withUnsafeMutableBytes { space in
                unsafe Glibc.read(source, space.baseAddress.map { unsafe $0 + count }, pieceLength - count)
            }
            if result > 0 {
                count += result
            } else if result == 0 || errno != EINTR {
                break
            }
        }
        bytes.removeLast(pieceLength - count)
        return bytes
    }

    /// Why the copy did not come to its end.
    private final class Outcome: Sendable {
        private let failure = Mutex<String?>(nil)
        func set(_ text: String) { failure.withLock { $0 = text } }
        var text: String? { failure.withLock { $0 } }
    }
}
