internal import Glibc
internal import Synchronization

// A message reaches its subscribers before it is on disk, so after a crash messages may be missing from the history that
// somebody has seen. Mostly none is: the store has them a moment later. The mark says so, for the next start not to announce
// a gap to everybody. It is written when for about a second nothing waits for the disk, and taken back before the next
// message that is to be kept gets its number: one `pwrite` each, at most once a second, and nobody waits for the disk.
//
// What was written stays in the kernel's memory after `kill -9`. After a power cut it is not sure what came to the disk, so a
// mark counts only in the boot it was written in, and only for a store that is just as it was then.
//
// 40 bytes, numbers little-endian: format (8 bytes; 0: taken back), boot (16), the newest message of the history that was
// committed, the highest number that was reserved (8 each).

/// Whether every message that was to be kept is on disk, noted for the next start.
///
/// Any thread.
final class KeptMark: Sendable {
    private static let format: UInt64 = 0x3150_454B_524B_4221  // "!BKRKEP1"
    private static let length = 40

    private struct State {
        /// Messages that may have to be kept, and are not on disk yet.
        var waiting = 0
        /// What is noted; `nil`: nothing.
        var noted: [UInt8]?
    }

    private let descriptor: Int32
    private let boot: [UInt8]
    private let state = Mutex(State())

    /// Opens or makes the mark at `path`; where that fails nothing is ever known to be complete.
    init(_ path: String) {
        descriptor = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        boot = StoreMark.currentBoot()
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Whether the process before had everything on disk, given what its store knows; from now on nothing is noted.
    func takeOver(completeUpTo seq: UInt64, reserved: UInt64) -> Bool {
        guard descriptor >= 0 else { return false }
        var found = [UInt8](repeating: 0, count: Self.length)
        let count = unsafe pread(descriptor, &found, Self.length, 0)
        takeBack()
        return count == Self.length && boot.contains { $0 != 0 } && found == record(seq, reserved)
    }

    /// Whether it is noted that everything is on disk.
    var isNoted: Bool { state.withLock { $0.noted != nil } }

    /// So many messages are about to be numbered that may have to be kept.
    func expect(_ count: Int) {
        state.withLock { state in
            state.waiting += count
            guard state.noted != nil else { return }
            state.noted = nil
            takeBack()
        }
    }

    /// So many of those that were expected are settled, or were not to be kept.
    func settle(_ count: Int) { state.withLock { $0.waiting -= count } }

    /// Notes that everything is on disk, if nothing waits.
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
        // A file without room is cut, which needs none.
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
