internal import CLinux
internal import Glibc

/// The file of a listening Unix socket: created if nothing is there, and removed only while it is still the same file.
///
/// Any thread.
package struct SocketFile: Sendable, Equatable {
    /// The path, as given.
    package let path: String
    private let device: UInt
    private let inode: UInt

    /// Records the file that a socket has just been bound to.
    package init(at path: String) throws(Errno) {
        let status = try Self.status(of: path)
        self.path = path
        device = UInt(status.st_dev)
        inode = UInt(status.st_ino)
    }

    /// Removes the file, unless the path now belongs to another one.
    package func remove() {
        guard let found = try? SocketFile(at: path), found == self else { return }
        unsafe _ = unlink(path)
    }

    /// Makes room for a socket: removes the file of a socket on which no process listens any more.
    ///
    /// Throws `addressInUse` if a process listens on it, and `notASocket` if it is anything but a socket.
    package static func makeRoom(at address: SocketAddress) throws(Errno) {
        guard let path = address.path else { return }
        do throws(Errno) {
            guard try status(of: path).st_mode & S_IFMT == S_IFSOCK else { throw Errno.notASocket }
        } catch {
            if error.rawValue == ENOENT { return }
            throw error
        }
        do throws(Errno) {
            _ = try Socket.connecting(to: address)
        } catch {
            guard error.rawValue == ECONNREFUSED else { return }
            unsafe _ = unlink(path)
            return
        }
        throw .addressInUse
    }

    /// Whether no socket can be bound to `path`, because it is taken by another kind of file.
    package static func isTaken(_ path: String) -> Bool {
        guard let status = try? status(of: path) else { return false }
        return status.st_mode & S_IFMT != S_IFSOCK
    }

    private static func status(of path: String) throws(Errno) -> stat {
        var status = stat()
        _ = try valueOrErrno { unsafe lstat(path, &status) }
        return status
    }

    /// The number of a group given by name or number; `nil` if there is no such group.
    package static func groupNumber(of name: String) -> UInt32? {
        if let number = UInt32(name) { return number }
        var entry = unsafe group()
        var found: UnsafeMutablePointer<group>?
        var space = [CChar](repeating: 0, count: 64 << 10)
        let code = unsafe getgrnam_r(name, &entry, &space, space.count, &found)
        return unsafe code == 0 && found != nil ? entry.gr_gid : nil
    }
}
