/// An engine that accepts the records of several brokers, and puts them in one order.
///
/// Any thread.
package protocol LogEngine: AnyObject, Sendable {
    /// Has an order send what waits (``LogOrder/send()``): soon, so that what other turns submit until then shares a
    /// record.
    func call(_ order: LogOrder)

    /// Appends a record that takes this many numbers; never waits, and keeps the order of the calls.
    ///
    /// It reports nothing: accepted records come back through the tail, and others are sent again.
    ///
    /// - Parameter term: the only term in which the record may be accepted.
    func append(_ record: [UInt8], numbers: Int, term: UInt64)
}

/// An entry of the log, as read from its tail.
package enum LogEntry: Sendable {
    /// A record, which the engine accepted at `time`, in Unix milliseconds.
    case record([UInt8], at: LogPosition, time: Int64)
    /// A term begins after `closed`, in the state with this epoch.
    case term(at: LogPosition, closed: LogPosition, epoch: UInt64)
}

/// Why a broker can no longer follow the log.
package enum LogTrouble: Error, Equatable, Sendable, CustomStringConvertible {
    /// An entry cannot be read; another broker may be newer.
    case unreadable(LogPosition)
    /// Entries between its position and the beginning of the log are missing.
    case missing(after: LogPosition)
    /// This broker has delivered messages that are in no log.
    case undone(after: LogPosition)
    /// The log belongs to another state.
    case foreign(epoch: UInt64)
    /// Another process has appended with the identity of this broker.
    case displaced(LogPosition)

    /// Whether a copy of another broker's store solves the problem.
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
            "This broker cannot read the log at \(place): the brokers may have different versions."
        case .missing(let place): "The log no longer has the entries after \(place)."
        case .undone(let place): "This broker has delivered messages after \(place) that are no longer in any log."
        case .displaced(let place): "Another process has appended records with this broker's identity, at \(place)."
        case .foreign(let epoch): "The log belongs to another state, with the epoch \(epoch)."
        }
    }
}
