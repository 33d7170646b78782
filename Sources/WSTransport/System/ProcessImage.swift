internal import Glibc

/// The program that this process runs.
package enum ProcessImage {
    /// Runs the same program again in this process, from its beginning and with the same arguments.
    ///
    /// Its number and its standard streams stay; other descriptors are closed, and other threads end at once. Returns only if that
    /// is not possible, with why. The corresponding C function is `execv`.
    package static func begin() -> Errno {
        _ = unsafe execv("/proc/self/exe", CommandLine.unsafeArgv)
        return Errno.current
    }
}
