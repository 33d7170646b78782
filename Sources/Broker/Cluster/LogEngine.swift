/// What takes the records of several brokers, and gives them one order.
///
/// Any thread.
package protocol LogEngine: AnyObject, Sendable {
    /// Appends a record that takes so many numbers; never waits, and keeps the order of the calls.
    ///
    /// It says nothing: what it has taken comes back by the tail, and what it has not is sent again.
    ///
    /// - Parameter term: in which alone it may be taken.
    func append(_ record: [UInt8], numbers: Int, term: UInt64)
}

/// An entry of the log, as the tail brings it.
package enum LogEntry: Sendable {
    /// A record, which the engine took at `time`, in Unix milliseconds.
    case record([UInt8], at: LogPosition, time: Int64)
    /// A term begins after `closed`, in the state that `epoch` names.
    case term(at: LogPosition, closed: LogPosition, epoch: UInt64)
}

/// Why a broker cannot follow the log any longer as it is.
package enum LogTrouble: Error, Equatable, Sendable, CustomStringConvertible {
    /// What it cannot read; another broker may be newer.
    case unreadable(LogPosition)
    /// Entries between its position and the log's are not there.
    case missing(after: LogPosition)
    /// It has shown what is in no log.
    case undone(after: LogPosition)
    /// The log is that of another state.
    case foreign(epoch: UInt64)
    /// Another process has appended as this broker.
    case displaced(LogPosition)

    /// Whether a copy of another broker's store is all that is needed.
    package var isCuredByCopy: Bool {
        switch self {
        case .missing, .undone: true
        case .unreadable, .foreign, .displaced: false
        }
    }

    /// A sentence for people.
    package var description: String {
        switch self {
        case .unreadable(let place):
            "The log has at \(place) what this broker cannot read: the brokers may be of different versions."
        case .missing(let place): "The log does not have what follows \(place) any more."
        case .undone(let place): "This broker has shown what is in no log, from \(place) on."
        case .displaced(let place): "Another process has appended as this broker, at \(place)."
        case .foreign(let epoch): "The log is that of another state, with the epoch \(epoch)."
        }
    }
}
