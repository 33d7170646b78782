internal import CLinux
internal import Glibc
internal import Synchronization

/// A started thread, which must be joined or detached once.
package struct ThreadHandle: Sendable {
    private let id: pthread_t

    fileprivate init(id: pthread_t) { self.id = id }

    /// Gives up the right to wait for the thread; used in place of ``join()``.
    package func detach() { pthread_detach(id) }

    /// Waits until the thread's body has returned; on that thread itself, detaches it.
    package func join() {
        if pthread_equal(id, pthread_self()) != 0 { pthread_detach(id) } else { pthread_join(id, nil) }
    }
}

/// Starts a thread that runs `body` once.
///
/// - Parameter name: shown by `top -H`; the kernel cuts it after 15 bytes.
package func startThread(named name: String, _ body: sending @escaping () -> Void) throws(Errno) -> ThreadHandle {
    let box = unsafe Unmanaged.passRetained(ThreadBody(body))
    var id = pthread_t()
    let code = unsafe pthread_create(
        &id, nil,
        { argument in
            guard let argument = unsafe argument else { return nil }
            unsafe Unmanaged<ThreadBody>.fromOpaque(argument).takeRetainedValue().run()
            return nil
        }, box.toOpaque())
    guard code == 0 else {
        unsafe box.release()
        throw Errno(rawValue: code)
    }
    unsafe _ = pthread_setname_np(id, String(name.prefix(15)))
    return ThreadHandle(id: id)
}

private final class ThreadBody {
    let run: () -> Void
    init(_ run: sending @escaping () -> Void) { self.run = run }
}

/// Facts about this machine and process.
package enum Machine {
    /// The number of processors that this process may use, at least 1.
    package static var processors: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

    package static var processIdentifier: Int32 { getpid() }

    /// The machine's name, usually without a domain.
    package static let name: String = {
        var text = [CChar](repeating: 0, count: 256)
        guard unsafe gethostname(&text, text.count - 1) == 0 else { return "" }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }()

    /// How many descriptors may be open; all their numbers are smaller than this.
    package static var descriptorLimit: Int {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
        return Int(clamping: limit.rlim_cur)
    }

    /// Raises the limit of open descriptors as far as possible, and returns it.
    @discardableResult
    package static func raiseDescriptorLimit() -> Int {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
        if limit.rlim_cur < limit.rlim_max {
            limit.rlim_cur = limit.rlim_max
            unsafe _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        }
        return descriptorLimit
    }

    /// How many descriptors are open; `nil` if the kernel does not say, as before Linux 6.2.
    package static var openDescriptors: Int? {
        var status = stat()
        guard unsafe stat("/proc/self/fd", &status) == 0, status.st_size > 0 else { return nil }
        return Int(status.st_size)
    }

    /// The size of a directory's file system, and what this user may still fill, in bytes; `nil` if it cannot be read.
    package static func space(under directory: String) -> (all: Int, free: Int)? {
        var status = statvfs()
        guard unsafe statvfs(directory, &status) == 0 else { return nil }
        let unit = status.f_frsize
        return (Int(clamping: status.f_blocks &* unit), Int(clamping: status.f_bavail &* unit))
    }

    /// Returns freed memory to the system; threads that allocate meanwhile wait.
    ///
    /// The corresponding C function is `malloc_trim`.
    package static func returnFreedMemory() { _ = malloc_trim(0) }

    /// Resident memory of this process in bytes; 0 if `/proc` cannot be read.
    package static var residentBytes: Int {
        let fields = FileDescriptor.text(of: "/proc/self/statm")?.split(separator: " ") ?? []
        return (fields.count > 1 ? Int(fields[1]) ?? 0 : 0) &* sysconf(Int32(_SC_PAGESIZE))
    }
}

/// Lets one thread wait until others have arrived.
package final class Latch: Sendable {
    private let state: Mutex<Int>
    private let descriptor: Int32

    /// - Parameter count: the number of arrivals to wait for.
    package init(count: Int) {
        state = Mutex(count)
        descriptor = eventfd(0, Int32(EFD_CLOEXEC))
    }

    deinit { _ = Glibc.close(descriptor) }

    /// Reports one arrival.
    ///
    /// Any thread.
    package func arrive() {
        let isLast = state.withLock { missing in
            missing -= 1
            return missing == 0
        }
        if isLast { _ = eventfd_write(descriptor, 1) }
    }

    /// Waits for the last arrival; returns at once if none is missing.
    ///
    /// One thread, once.
    package func wait() {
        guard state.withLock({ $0 > 0 }) || descriptor < 0 else { return }
        var value: eventfd_t = 0
        while unsafe eventfd_read(descriptor, &value) != 0, Errno.current == .interrupted {}
    }
}

/// Suspends this thread.
///
/// Must not be called on a reactor.
package func pause(milliseconds: UInt32) { _ = usleep(milliseconds &* 1000) }
