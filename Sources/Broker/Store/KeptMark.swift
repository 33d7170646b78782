internal import Glibc
internal import Synchronization

// Subscribers receive a message before it is on disk, so after a crash messages that a client has received may be
// missing from the history. Mostly none is missing, because the store writes them a moment later. The mark records
// this, so that the next start need not announce a gap to every client. It is written when nothing has waited for the
// disk for about a second, and withdrawn before the next message that must be kept gets its number: one `pwrite` each,
// at most once a second, and nothing waits for the disk.
//
// A written mark stays in the kernel's memory after `kill -9`. After a power cut it is not certain what reached the
// disk, so a mark is valid only in the boot in which it was written, and only for a store in exactly the state of that
// moment.
//
// 40 bytes, numbers little-endian: format (8 bytes; 0: withdrawn), boot (16), the newest committed message of the
// history, the highest reserved number (8 each).

/// A note for the next start on whether every message that must be kept is on disk.
///
/// Any thread.
final class KeptMark: Sendable {
    private static let format: UInt64 = 0x3150_454B_524B_4221  // "!BKRKEP1"
    private static let length = 40

    private struct State {
        /// How many messages may have to be kept and are not on disk yet.
        var waiting = 0
        /// The mark that is written; `nil` if there is none.
        var noted: [UInt8]?
    }

    private let descriptor: Int32
    private let boot: [UInt8]
    private let state = Mutex(State())

    /// Opens or creates the mark at `path`; if that fails, the history is never known to be complete.
    init(_ path: String) {
        descriptor = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        boot = StoreMark.currentBoot()
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Whether the previous process had everything on disk, according to the mark and its store; then withdraws the
    /// mark.
    func takeOver(completeUpTo seq: UInt64, reserved: UInt64) -> Bool {
        guard descriptor >= 0 else { return false }
        var found = [UInt8](repeating: 0, count: Self.length)
        let count = unsafe pread(descriptor, &found, Self.length, 0)
        takeBack()
        return count == Self.length && boot.contains { $0 != 0 } && found == record(seq, reserved)
    }

    /// Whether the mark is written.
    var isNoted: Bool { state.withLock { $0.noted != nil } }

    /// Announces messages that are about to be numbered and may have to be kept; withdraws the mark.
    func expect(_ count: Int) {
        state.withLock { state in
            state.waiting += count
            guard state.noted != nil else { return }
            state.noted = nil
            takeBack()
        }
    }

    /// Settles messages that were announced: they are on disk, or need not be kept.
    func settle(_ count: Int) { state.withLock { $0.waiting -= count } }

    /// Writes the mark if nothing is waiting.
    func rest(completeUpTo seq: UInt64, reserved: UInt64) {
        guard descriptor >= 0 else { return }
        let record = record(seq, reserved)
        state.withLock { state in
            guard state.waiting == 0, state.noted != record else { return }
            guard unsafe pwrite(descriptor, record, record.count, 0) == record.count else { return takeBack() }
            state.noted = record
        }
    }

    private func takeBack() {
        let nothing = [UInt8](repeating: 0, count: 8)
        // If there is no room to overwrite the file, it is truncated, which needs none.
        guard unsafe pwrite(descriptor, nothing, nothing.count, 0) != nothing.count else { return }
        _ = ftruncate(descriptor, 0)
    }

    private func record(_ seq: UInt64, _ reserved: UInt64) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.appendLittleEndian(Self.format)
        bytes += boot
        bytes.appendLittleEndian(seq)
        bytes.appendLittleEndian(reserved)
        return bytes
    }
}
