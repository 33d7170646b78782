internal import Broker

/// The configuration file, watched for changes that nobody has applied.
///
/// A change is told, not applied: a file that is being edited is not meant yet.
struct WatchedFile {
    private let path: String?
    private var stamp: FileStamp?

    /// Begins to watch a file, whose content has just been read.
    ///
    /// - Parameter path: `nil` if there is no file.
    init(_ path: String?) {
        self.path = path
        stamp = path.map { FileStamp($0) }
    }

    /// What to tell the administrator if the file has changed since the last call; `nil` if it has not.
    mutating func change() -> String? {
        guard let path else { return nil }
        let now = FileStamp(path)
        guard now != stamp else { return nil }
        stamp = now
        return now.isMissing
            ? "the configuration file is gone; the settings stay in force"
            : "the configuration file has changed; the old settings stay in force until a reload"
    }
}
