internal import Synchronization
internal import WSTransport

/// The users of a cluster; the users file is a copy of them.
extension AccessKeeper {
    /// Puts changed users of the cluster into use; `nil` if they have not changed.
    func takeOver(_ shared: SharedAccess, _ old: State) -> AccessNews? {
        let version = shared.version
        guard version != old.version else { return nil }
        state.withLock { $0.version = version }
        do throws(AccessFileErrors) {
            let file = try shared.file()
            let access = Access(old.settings, users: UserTable(file), webTokens: old.current.webTokens)
            state.withLock { $0.current = access }
            write(file.bytes)
            return .takenOver(file: old.settings.accessFilePath, users: access.users.count)
        } catch {
            return .refused(error.description)
        }
    }

    // MARK: The copy

    /// The suffix for the name of a file whose content differed from the cluster's.
    private static let aside = ".replaced"

    /// Writes the copy; a file with other content from before is kept under another name.
    private func write(_ bytes: [UInt8]) {
        let (path, copy, complain) = state.withLock { ($0.settings.accessFilePath, $0.copy, $0.complain) }
        do throws(PrivateFile.Trouble) {
            let turn = try PrivateFile.Turn(to: path)
            defer { turn.end() }
            let found = try PrivateFile.read(path, atMost: AccessFile.maximumSize) ?? []
            // It was edited after it was written: the edit must go to the cluster first.
            if let copy, found != copy { return }
            if found != bytes {
                if copy == nil, !found.isEmpty { try PrivateFile.replace(path + Self.aside, with: found) }
                try PrivateFile.replace(path, with: bytes)
            }
            state.withLock { ($0.copy, $0.stamp) = (bytes, FileStamp(path)) }
        } catch {
            // The cluster's users are in use anyway: the copy is for people, and for a broker that leaves the cluster.
            complain("\(path): \(error.message)")
        }
    }

    /// An edit of the copy.
    struct Edit: Sendable {
        let old: AccessFile
        let new: AccessFile
        /// The present content of the file.
        let bytes: [UInt8]

        /// Makes the same changes to a file.
        func apply(to file: inout AccessFile) {
            let (before, after) = (Self.lines(of: old), Self.lines(of: new))
            let gone = before.keys.filter { after[$0] == nil }
            let changed = after.filter { before[$0.key]?.bytes != $0.value.bytes }
            file.entries.removeAll { gone.contains($0.content.identity) || changed[$0.content.identity] != nil }
            file.entries += changed.values
        }

        private static func lines(of file: AccessFile) -> [String: AccessEntry] {
            Dictionary(file.entries.map { ($0.content.identity, $0) }, uniquingKeysWith: { $1 })
        }
    }

    /// Begins to apply an edit of the copy to the cluster, until ``conclude(_:isTaken:)``; `nil` if there is none.
    func takeEdit() throws(AccessFileErrors) -> Edit? {
        let now = state.withLock { $0 }
        let path = now.settings.accessFilePath
        let stamp = FileStamp(path)
        guard now.shared?.isInForce == true, let copy = now.copy, !now.isEditing, stamp != now.stamp else { return nil }
        let found: [UInt8]
        do throws(PrivateFile.Trouble) {
            found = try PrivateFile.read(path, atMost: AccessFile.maximumSize) ?? []
        } catch {
            throw AccessFileErrors(path, error.message)
        }
        // A file with errors is reported once, and stays as it is.
        state.withLock { $0.stamp = stamp }
        if found == copy { return nil }
        let edit = Edit(old: try AccessFile(copy, file: path), new: try AccessFile(found, file: path), bytes: found)
        state.withLock { $0.isEditing = true }
        return edit
    }

    /// Records that the cluster has accepted an edit of the copy, or that the edit must be tried again later.
    func conclude(_ edit: Edit, isTaken: Bool) {
        let shared = state.withLock { state in
            state.isEditing = false
            // Otherwise the file must look changed, so that the edit is tried again.
            if isTaken { state.copy = edit.bytes } else { state.stamp = FileStamp("") }
            return state.shared
        }
        guard isTaken else { return }
        // A newer copy must not be overwritten by this one.
        inTurn { if let bytes = try? shared?.file().bytes { write(bytes) } }
    }
}
