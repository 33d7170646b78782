internal import CLinux
internal import Glibc
internal import WSTransport

// A file that has not changed since the broker last wrote it needs no check before LMDB maps it. The mark records the
// state of the file at that time: its inode, length and time of change, which the kernel updates at every write,
// truncation and replacement, and a digest of LMDB's two meta pages, which each commit changes. It is written after
// every commit, with one `pwrite` that nothing waits for. It is valid after `kill -9`, too, because written data stays
// in the kernel's memory.
//
// After a power cut neither is certain: the mark may be newer than the file, or the file's time not on disk. So a mark
// is valid only in the boot in which it was written, or if it was written and synced at the end of an orderly shutdown.
//
// 80 bytes, numbers little-endian: format (8 bytes), boot (16), 1: closed orderly (8), inode, length, seconds and
// nanoseconds of the change, digest of the meta pages, digest of all this (8 each).

/// The state of the store's file when the broker last wrote it.
///
/// Any thread, one at a time.
final class StoreMark: Sendable {
    private static let format: UInt64 = 0x314B_5241_4D52_4B42  // "BKRMARK1"
    private static let length = 80
    private static let metaLength = 152

    private let descriptor: Int32
    private let boot: [UInt8]

    /// Opens or creates the mark at `path`; if that fails, no file ever matches, and every start checks the pages.
    init(_ path: String) {
        descriptor = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        boot = Self.currentBoot()
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Whether the file at `path` is in the recorded state.
    func matches(_ path: String) -> Bool {
        guard descriptor >= 0, let found = Self.read(descriptor, at: 0, count: Self.length) else { return false }
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { return false }
        defer { close(file) }
        let wasClosed = found.span.littleEndian(UInt64.self, at: 24) == 1
        guard wasClosed || (boot.contains { $0 != 0 } && found[8..<24].elementsEqual(boot)) else { return false }
        // Compared from the file's state on; the boot may differ.
        guard let expected = record(of: file, isClosed: wasClosed, boot: Array(found[8..<24])) else { return false }
        return found == expected
    }

    /// Records the present state of the file.
    ///
    /// - Parameter isClosed: whether nothing more will be written to the file; then the record is synced.
    func note(_ file: Int32, isClosed: Bool = false) {
        guard descriptor >= 0, let record = record(of: file, isClosed: isClosed, boot: boot) else { return forget() }
        guard unsafe pwrite(descriptor, record, record.count, 0) == record.count else { return forget() }
        if isClosed { fdatasync(descriptor) }
    }

    /// Clears the mark, so that no file matches.
    func forget() { if descriptor >= 0 { _ = ftruncate(descriptor, 0) } }

    private func record(of file: Int32, isClosed: Bool, boot: [UInt8]) -> [UInt8]? {
        var status = stat()
        guard unsafe fstat(file, &status) == 0 else { return nil }
        var digest = Digest()
        for offset in [0, sysconf(Int32(_SC_PAGESIZE))] {
            guard let meta = Self.read(file, at: offset, count: Self.metaLength) else { return nil }
            digest.add(meta)
        }
        var bytes: [UInt8] = []
        bytes.appendLittleEndian(Self.format)
        bytes += boot
        let numbers = [
            isClosed ? 1 : 0, UInt64(status.st_ino), UInt64(status.st_size),
            UInt64(bitPattern: Int64(status.st_ctim.tv_sec)), UInt64(bitPattern: Int64(status.st_ctim.tv_nsec)),
            digest.value,
        ]
        for number in numbers { bytes.appendLittleEndian(number) }
        var whole = Digest()
        whole.add(bytes)
        bytes.appendLittleEndian(whole.value)
        return bytes
    }

    private static func read(_ file: Int32, at offset: Int, count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        return unsafe pread(file, &bytes, count, offset) == count ? bytes : nil
    }

    /// The identifier of this boot; zeros if the kernel does not provide it.
    static func currentBoot() -> [UInt8] {
        let none = [UInt8](repeating: 0, count: 16)
        guard let text = FileDescriptor.text(of: "/proc/sys/kernel/random/boot_id") else { return none }
        let digits = text.prefix(36).filter { $0 != "-" }
        var bytes: [UInt8] = []
        var rest = digits[...]
        while rest.count >= 2 {
            guard let byte = UInt8(rest.prefix(2), radix: 16) else { return none }
            bytes.append(byte)
            rest = rest.dropFirst(2)
        }
        return bytes.count == 16 ? bytes : none
    }
}

/// FNV-1a with 64 bits: against accidents, not against forgery.
private struct Digest {
    private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

    mutating func add(_ bytes: [UInt8]) { for byte in bytes { value = (value ^ UInt64(byte)) &* 0x100_0000_01B3 } }
}
