extension WS.HandshakeError {
    init(_ error: ConnectError) {
        self =
            switch error {
            case .unknownHost(let reason), .unusablePath(let reason): .unknownHost(reason)
            case .unreachable(let error): .unreachable("\(error)")
            case .insecure, .unusableFile: .insecure("\(error)")
            case .timedOut: .timedOut
            case .connectionLost: .connectionLost
            case .refused(let status, let body): .refused(status: status, body: body)
            case .invalidAnswer(let reason): .invalidAnswer(reason)
            case .invalidOption(let reason): .failed(reason)
            case .invalidRedirect, .proxyRefused, .proxyFailed: .failed("\(error)")
            case .cancelled: .aborted
            }
    }
}
