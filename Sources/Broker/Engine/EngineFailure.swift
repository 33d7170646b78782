package import WSTransport

/// Why an engine, or one of its sentinels, does not do what it is asked to.
package enum EngineFailure: Error, Equatable, Sendable, CustomStringConvertible {
    /// There is no connection.
    case unreachable(ConnectError)
    /// The server has refused a command.
    case refused(RESPError)
    /// What came is no answer.
    case malformed(RESPMistake)
    /// No answer came in time.
    case silent
    /// The connection has ended.
    case closed
    /// More waits for answers than may.
    case busy
    /// The server cannot be used as it is; what to do, as a sentence.
    case unfit(String)

    /// A phrase for people.
    package var description: String {
        switch self {
        case .unreachable(let error): "\(error)"
        case .refused(let error): "it refused: \(error)"
        case .malformed(let mistake): "its answer is malformed: \(mistake)"
        case .silent: "it does not answer in time"
        case .closed: "the connection has ended"
        case .busy: "too many commands wait for its answers"
        case .unfit(let text): text
        }
    }
}
