internal import CLinux
internal import Glibc
internal import WSTransport

/// A shell command that is run for a message.
enum ShellCommand {
    /// Runs it to its end with `input` as standard input; it inherits the other streams.
    ///
    /// - Parameters:
    ///   - variables: added to its environment.
    ///   - output: its standard output; `nil` if that is inherited, too.
    /// - Returns: its exit status; as in a shell, 128 plus the number of the signal that ended it.
    static func run(
        _ command: String, _ variables: [(name: String, value: String)], input: [UInt8], output: Int32? = nil
    ) throws(Failure) -> Int32 {
        var ends: [Int32] = [-1, -1]
        guard unsafe pipe2(&ends, O_CLOEXEC) == 0 else { throw failure(errno) }
        let child: pid_t
        do throws(Failure) {
            child = try start(
                ["/bin/sh", "-c", command], variables.map { "\($0.name)=\($0.value)" }, input: ends[0], output)
        } catch {
            for end in ends { close(end) }
            throw error
        }
        close(ends[0])
        write(input, to: ends[1])
        close(ends[1])
        var status: Int32 = 0
        while unsafe waitpid(child, &status, 0) < 0 {
            guard errno == EINTR else { throw failure(errno) }
        }
        return status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + status & 0x7F
    }

    /// Runs a command and returns its standard output.
    ///
    /// The output goes through an unnamed file, which holds any amount while the command still reads its input.
    static func output(
        _ command: String, _ variables: [(name: String, value: String)], input: [UInt8], atMost maximum: Int
    ) throws(Failure) -> (status: Int32, bytes: [UInt8]) {
        guard let stream = unsafe tmpfile() else { throw failure(errno) }
        defer { unsafe fclose(stream) }
        let file = unsafe fileno(stream)
        let status = try run(command, variables, input: input, output: file)
        let size = Int(lseek(file, 0, SEEK_END))
        guard size <= maximum else { throw .failed("--exec: more than \(maximum) bytes of output") }
        var bytes = [UInt8](repeating: 0, count: max(0, size))
        var read = 0
        while read < bytes.count {
            let count = unsafe bytes.withUnsafeMutableBytes {
                unsafe pread(file, $0.baseAddress.map { unsafe $0 + read }, $0.count - read, off_t(read))
            }
            guard count > 0 || count < 0 && errno == EINTR else { throw failure(errno) }
            read += max(0, count)
        }
        return (status, bytes)
    }

    private static func start(
        _ words: [String], _ variables: [String], input: Int32, _ output: Int32?
    ) throws(Failure) -> pid_t {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO)
        if let output { unsafe posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO) }
        // This program ignores the signal, and the command would inherit that.
        var attributes = posix_spawnattr_t()
        var signals = sigset_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        unsafe sigemptyset(&signals)
        unsafe sigaddset(&signals, SIGPIPE)
        unsafe posix_spawnattr_setsigdefault(&attributes, &signals)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF))

        let names = variables.map { $0.prefix { $0 != "=" } }
        let others = inherited.filter { entry in !names.contains(entry.prefix { $0 != "=" }) }
        var arguments = unsafe words.map { unsafe strdup($0) } + [nil]
        var environment = unsafe (variables + others).map { unsafe strdup($0) } + [nil]
        defer { unsafe (arguments + environment).forEach { unsafe free($0) } }
        var child = pid_t()
        let code = unsafe posix_spawn(&child, words[0], &actions, &attributes, &arguments, &environment)
        guard code == 0 else { throw failure(code) }
        return child
    }

    /// The environment of this program.
    private static let inherited: [String] = {
        var bytes: [UInt8] = []
        do throws(Errno) {
            bytes = try FileDescriptor.reading("/proc/self/environ").readToEnd(atMost: 4 << 20)
        } catch {
            return []
        }
        let text = String(decoding: bytes, as: UTF8.self)
        return text.split(separator: "\0").map(String.init)
    }()

    /// Writes all bytes, or stops when the command reads no more.
    private static func write(_ bytes: [UInt8], to descriptor: Int32) {
        var sent = 0
        while sent < bytes.count {
            let count = unsafe bytes.withUnsafeBytes {
                unsafe Glibc.write(descriptor, $0.baseAddress.map { unsafe $0 + sent }, $0.count - sent)
            }
            if count >= 0 { sent += count } else if errno != EINTR { return }
        }
    }

    private static func failure(_ code: Int32) -> Failure {
        .failed("--exec: \(unsafe strerror(code).map { unsafe String(cString: $0) } ?? "error \(code)")")
    }
}
