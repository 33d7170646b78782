package import WSTransport

/// Why an engine, or one of its sentinels, cannot do what was asked.
package enum EngineFailure: Error, Equatable, Sendable, CustomStringConvertible {
    /// The connection could not be opened.
    case unreachable(ConnectError)
    /// The server refused a command.
    case refused(RESPError)
    /// The bytes received are not a valid answer.
    case malformed(RESPMistake)
    /// No answer arrived in time.
    case silent
    /// The connection was closed.
    case closed
    /// Too many commands wait for answers.
    case busy
    /// The server cannot be used as it is; the value is a sentence that says what to do.
    case unfit(String)

    /// A phrase for people.
    package var description: String {
        switch self {
        case .unreachable(let error): "\(error)"
        case .refused(let error): "it refused: \(error)"
        case .malformed(let mistake): "its answer is malformed: \(mistake)"
        case .silent: "it does not respond in time"
        case .closed: "the connection has ended"
        case .busy: "too many commands wait for its answers"
        case .unfit(let text): text
        }
    }
}
