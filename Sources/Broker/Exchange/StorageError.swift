/// Errors of the store.
package enum StorageError: Error, Equatable, Sendable, CustomStringConvertible {
    /// No room: `store.maximum_size` is reached, or the disk is full.
    case full
    /// A configured limit is reached; the value is its name, such as `retained.maximum_messages`.
    case limit(String)
    /// The data read is not the data that was written.
    case damaged(String)
    /// Temporary: the store's file is being opened again.
    case busy(String)
    /// Another process uses the data directory.
    case inUse(String)
    /// A newer version of the broker has written the store, which is left unchanged; the value is a sentence.
    case newer(String)
    /// The system reported an error; `code` is an `errno`, or an LMDB code if it is negative.
    case system(code: Int32, what: String)

    package var description: String {
        switch self {
        case .full: "the store is full"
        case .limit(let name): "the limit \(name) is reached"
        case .damaged(let what): "the store is damaged: \(what)"
        case .busy(let what): "the store is busy: \(what)"
        case .inUse(let what): "the data directory is in use: \(what)"
        case .newer(let what): what
        case .system(_, let what): what
        }
    }

    /// Whether it is temporary, so that the caller should try again.
    package var isBusy: Bool {
        guard case .busy = self else { return false }
        return true
    }
}
