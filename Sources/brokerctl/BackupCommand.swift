internal import ArgumentParser
internal import Broker
internal import CLinux
internal import Glibc

/// `brokerctl backup FILE`.
struct BackupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup",
        abstract: "Writes a copy of the running broker's store, as of one moment.",
        discussion: """
            The broker continues to work meanwhile. brokerctl writes the file, which belongs to the user that runs it. \
            The pages are checked before the file gets its name; an existing file is not overwritten. If FILE is a \
            directory, the backup is called broker.mdb; the directory is created if FILE ends with /.

            With -, the copy is first received completely in $TMPDIR and checked, then written to standard output.

            With --on-broker nothing is transferred: the broker writes FILE on its own machine, in the directory \
            that admin.backup_directory names, or in an existing directory below it.

            Examples:
              brokerctl backup /var/backups/broker-2026-11-24.mdb
              brokerctl --context production backup --on-broker 2026-11-24.mdb
              brokerctl backup - | ssh backup.example.com 'cat > broker.mdb'
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @Argument(help: "The file to write, or a directory; - for standard output.")
    var file: String

    @Flag(help: "Let the broker write FILE, in its admin.backup_directory.")
    var onBroker = false

    func run() async throws {
        if onBroker {
            let result = try await connection.ask(BackupRequest(path: file))
            if connection.json { return result.print() }
            let (path, bytes) = (result.answer.path ?? file, result.answer.bytes ?? 0)
            return Output.print("\(Output.printable(path)): \(Quantity.size(bytes)), checked, on the broker's machine")
        }
        var copy = try BackupFile(file)
        do {
            let admin = try await AdminConnection(connection)
            _ = try await admin.ask(BackupRequest())
            while true {
                try await admin.send(BackupNextRequest().encoded())
                let (isBinary, bytes) = try await admin.receivePiece()
                guard isBinary else {
                    _ = try AdminReply<BackupNextRequest.Answer>(understanding: bytes).success
                    break
                }
                try copy.write(bytes)
            }
            await admin.close()
            let size = try copy.finish()
            guard let path = copy.path else { return }
            guard connection.json else { return Output.print("\(path): \(Quantity.size(size)), checked") }
            var writer = JSONWriter()
            writer.beginObject()
            writer.member("path", path)
            writer.member("bytes", size)
            writer.endObject()
            Output.printJSON(writer.bytes)
        } catch {
            copy.remove()
            throw error
        }
    }
}

/// `brokerctl restore FILE`.
struct RestoreCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Replaces the store of a stopped broker with a backup.",
        discussion: """
            The backup's pages are checked first. The previous store is moved aside, not removed. Sequence numbers continue \
            above those of both, and clients that resume are told that the store was replaced.

            Examples:
              brokerctl restore /var/backups/broker-2026-11-24.mdb --data-dir /var/lib/broker
              brokerctl restore backup.mdb --json
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @Argument(help: "The file that `backup` wrote, or a directory that contains broker.mdb.")
    var file: String

    @Option(help: ArgumentHelp("The data directory of the broker, which must be stopped.", valueName: "directory"))
    var dataDir = "./data"

    @OptionGroup var consent: Consent

    func run() throws {
        try consent.ask("Replace the store in \(dataDir) with this backup?")
        let restoration: Restoration
        do throws(StorageError) {
            restoration = try LMDBStore.restore(from: file, to: dataDir, time: time(nil))
        } catch .damaged(let what) {
            throw Failure.failed("the backup is damaged: \(what)")
        } catch .inUse(let what) {
            throw Failure.failed("a broker is using \(what); stop it first")
        } catch {
            throw Failure.failed("\(error)")
        }
        if connection.json {
            var writer = JSONWriter()
            writer.beginObject()
            writer.member("values", restoration.values)
            writer.member("messages", restoration.messages)
            if let aside = restoration.movedAside { writer.member("movedAside", aside) }
            writer.endObject()
            return Output.print(writer.bytes)
        }
        if let aside = restoration.movedAside { Output.print("the previous store is now \(aside)") }
        Output.print("restored: \(restoration.values) values, \(restoration.messages) messages of the history")
    }
}
