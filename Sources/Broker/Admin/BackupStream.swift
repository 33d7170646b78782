internal import CLinux
internal import Glibc
internal import Synchronization
internal import WSTransport

/// A copy of the store on its way to an administrator, one piece for each request.
///
/// One thread writes the copy into a pipe and another reads pieces from it, so that a slow administrator does not make
/// a reactor wait. Any thread.
final class BackupStream: Sendable {
    /// A delivered part of the copy.
    enum Piece: Sendable {
        case bytes([UInt8])
        /// The end; `failure` says why the copy is incomplete, and is `nil` if it is complete.
        case end(failure: String?)
    }

    /// The size of a piece, in bytes.
    static let pieceLength = 1 << 20

    private let requests = Semaphore()
    private let isAbandoned = Atomic<Bool>(false)
    private let copy: @Sendable (Int32) throws(StorageError) -> Void
    private let deliver: @Sendable (BackupStream, Piece) -> Void

    /// - Parameters:
    ///   - copy: writes the whole copy to a descriptor, on its own thread.
    ///   - deliver: receives the pieces, on another thread.
    init(
        copy: @escaping @Sendable (Int32) throws(StorageError) -> Void,
        deliver: @escaping @Sendable (BackupStream, Piece) -> Void
    ) {
        self.copy = copy
        self.deliver = deliver
    }

    /// Requests one more piece.
    func ask() { requests.signal() }

    /// Ends the copy; the next delivered piece is the end.
    func abandon() {
        isAbandoned.store(true, ordering: .relaxed)
        requests.signal()
    }

    /// Starts the copy; the returned thread ends with the last piece.
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
            deliver(self, .bytes(piece))
        }
        // An unfinished copy ends at once, because nothing reads the pipe any more.
        close(source)
        writer.join()
        let isWhole = !isAbandoned.load(ordering: .relaxed)
        deliver(self, .end(failure: isWhole ? outcome.text : "the backup was cancelled"))
    }

    /// Reads a whole piece, or what is left.
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

    /// The reason why the copy failed.
    private final class Outcome: Sendable {
        private let failure = Mutex<String?>(nil)
        func set(_ text: String) { failure.withLock { $0 = text } }
        var text: String? { failure.withLock { $0 } }
    }
}
