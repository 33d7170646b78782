internal import WSTransport

/// Checks of settings before a broker starts with them.
extension Broker {
    /// The errors in the certificate files that `settings` names, a sentence each.
    static func certificateErrors(in settings: Settings) -> [String] {
        Certificates.errors(in: settings.listen)
    }

    /// The errors in the paths that `settings` names, a sentence each.
    ///
    /// Creates and changes nothing, so it cannot foresee what another process does before the start.
    private static func placeErrors(in settings: Settings) -> [String] {
        var errors: [String] = []
        // Root may check the settings of another user's broker.
        let obstacle = DataDirectory.obstacle(at: settings.dataDirectory, ownedByAnyone: true)
        if let obstacle { errors.append("data_dir: \(obstacle)") }
        do throws(StorageError) { try LMDBStore.checkFormat(directory: settings.dataDirectory) } catch {
            errors.append("data_dir: \(error)")
        }
        var sockets = [("admin.socket", settings.adminSocketPath, "admin.socket_group", settings.admin.socketGroup)]
        for (number, listener) in settings.listen.enumerated() {
            guard case .unix(let path) = listener.address else { continue }
            sockets.append(("listen[\(number)].address", path, "listen[\(number)].group", listener.group))
        }
        for (key, path, groupKey, group) in sockets {
            if SocketAddress(path: path) == nil {
                errors.append("\(key): \(path): expected a path of at most \(ListenAddress.maximumPathLength) bytes")
            } else if SocketFile.isTaken(path) {
                errors.append("\(key): \(path): \(Listeners.takenPath)")
            }
            if let group, SocketFile.groupNumber(of: group) == nil {
                errors.append("\(groupKey): there is no group \"\(group)\"")
            }
        }
        if let directory = settings.admin.backupDirectory, !DataDirectory.isDirectory(directory) {
            errors.append("admin.backup_directory: \(directory) is not a directory")
        }
        if case .file(let path) = settings.log.audit, let obstacle = settings.obstacle(toFile: path) {
            errors.append("log.audit: \(obstacle)")
        }
        if let error = settings.accessFileError { errors.append(error) }
        return errors
    }

    /// The settings about paths that have no effect, a sentence each.
    package static func placeWarnings(in settings: Settings) -> [String] {
        guard let group = settings.admin.socketGroup, let number = SocketFile.groupNumber(of: group) else { return [] }
        let directory = DataDirectory.parent(of: settings.adminSocketPath)
        // A directory that does not exist yet is the data directory, which will be made for its owner only.
        let reach = DataDirectory.isOpen(directory, to: number) ?? (directory != settings.dataDirectory)
        guard !reach else { return [] }
        return [
            "admin.socket_group has no effect, because the group \(group) may not enter \(directory): set admin.socket to another place"
        ]
    }

    /// The private key files that users other than their owner may read.
    package static func exposedKeys(in settings: Settings) -> [String] {
        Certificates.exposedKeys(in: settings.listen)
    }

    /// What keeps a broker from starting with `settings`: where it would listen, and the errors in the files and paths
    /// that they name; a sentence each.
    package static func errors(in settings: Settings) -> [String] {
        [settings.listenError].compactMap(\.self) + certificateErrors(in: settings) + placeErrors(in: settings)
            + accessErrors(in: settings)
    }

    /// What in `settings` is allowed but probably not meant, a sentence each.
    package static func warnings(in settings: Settings) -> [String] {
        exposedKeys(in: settings).map { "other users may read the private key \($0): chmod go-rwx" }
            + settings.ruleWarnings + placeWarnings(in: settings)
    }

    /// The errors in the users file and in the keys that `settings` names, a sentence each.
    static func accessErrors(in settings: Settings) -> [String] {
        do throws(AccessFileErrors) {
            _ = try AccessFile.read(settings.accessFilePath, isKept: false)
            return AccessKeeper.keyErrors(in: settings)
        } catch {
            return error.errors.map(\.description) + AccessKeeper.keyErrors(in: settings)
        }
    }
}

extension Settings {
    /// What is wrong with the path of the users file, as a sentence; `nil` if nothing is.
    ///
    /// If there is no such file, it is made when the first user is added.
    var accessFileError: String? { obstacle(toFile: accessFilePath).map { "access.users: \($0)" } }

    /// Why there cannot be a file at `path`, which need not exist yet; `nil` if there can.
    fileprivate func obstacle(toFile path: String) -> String? {
        let parent = DataDirectory.parent(of: path)
        // The data directory, however it is written, is made at the start.
        let isMade = parent.split(separator: "/").last == dataDirectory.split(separator: "/").last
        if DataDirectory.isDirectory(path) { return "\(path) is a directory" }
        return isMade || DataDirectory.isDirectory(parent) ? nil : "\(parent) is not a directory"
    }
}
