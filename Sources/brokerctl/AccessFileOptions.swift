internal import ArgumentParser
internal import Broker
internal import CLinux
internal import Glibc

/// Which file of users and tokens is meant; the broker notices when it changes.
struct AccessFileOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The file of users and tokens. (default: $BROKER_ACCESS_FILE, else access.jsonl beside the admin socket)",
            valueName: "path"))
    var file: String?

    /// The file, for the broker that `connection` means.
    private func path(_ connection: ConnectionOptions) throws(Failure) -> String {
        if let file { return file }
        if let value = unsafe getenv("BROKER_ACCESS_FILE"), unsafe value.pointee != 0 {
            return unsafe String(cString: value)
        }
        guard let socket = connection.socketFile else {
            throw .usage("--url: users and tokens are changed on the broker's machine, or by --file")
        }
        let folder = socket.lastIndex(of: "/").map { String(socket[...$0]) } ?? ""
        return folder + "access.jsonl"
    }

    /// What the file says now.
    func read(_ connection: ConnectionOptions) throws(Failure) -> AccessFile {
        let path = try path(connection)
        do throws(AccessFileErrors) { return try AccessFile.read(path) } catch { throw .failed(error.description) }
    }

    /// Changes the file as a whole, or not at all, and returns when the broker, if it runs, has taken the change over.
    func update<Value>(
        _ connection: ConnectionOptions, _ change: (inout AccessFile) throws(AccessFileErrors) -> Value
    ) async throws -> Value {
        let path = try path(connection)
        let value: Value
        do throws(AccessFileErrors) { value = try AccessFile.update(path, change) } catch {
            throw Failure.failed(error.description)
        }
        // A file of its own is not the running broker's business, and without a broker there is nobody to tell.
        guard file == nil, let socket = connection.socketFile, unsafe access(socket, F_OK) == 0 else { return value }
        do { _ = try await connection.ask(ReloadRequest()) } catch let failure as Failure where failure.status == 2 {}
        return value
    }
}

/// Where a new password comes from; it is never an argument, which other users of the machine could see.
struct PasswordOptions: ParsableArguments {
    @Flag(help: "Read the password from the first line of standard input, instead of asking for it.")
    var passwordStdin = false

    private static let maximumLength = 1024

    func read() throws(Failure) -> String {
        let password: String?
        if passwordStdin {
            var reader = try LineReader(path: "-")
            guard case .line(let bytes)? = try reader.next(), let text = String(validating: bytes, as: UTF8.self) else {
                throw .usage("--password-stdin: expected a line of UTF-8")
            }
            password = text
        } else {
            guard isatty(STDIN_FILENO) == 1 else {
                throw .usage("there is no terminal to ask for a password: --password-stdin reads it")
            }
            password = Self.ask("Password: ")
            guard password == Self.ask("Again: ") else { throw .failed("the two are not the same; nothing was done") }
        }
        guard let password, 1...Self.maximumLength ~= password.utf8.count else {
            throw .failed("expected a password of 1 to \(Self.maximumLength) bytes; nothing was done")
        }
        return password
    }

    /// A line of the terminal, which does not show what is typed.
    static func ask(_ question: String) -> String? {
        var state = termios()
        guard unsafe tcgetattr(STDIN_FILENO, &state) == 0 else {
            Output.printPart(question)
            return readLine()
        }
        var silent = state
        silent.c_lflag &= ~tcflag_t(ECHO)
        // Before the question, or what is typed at once would be shown, and lost.
        unsafe _ = tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent)
        Output.printPart(question)
        defer {
            unsafe _ = tcsetattr(STDIN_FILENO, TCSAFLUSH, &state)
            Output.printPart("\n")
        }
        return readLine()
    }
}
