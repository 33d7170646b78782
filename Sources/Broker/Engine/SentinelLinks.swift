package import WSTransport

/// The links to an engine's sentinels, kept from one survey to the next.
///
/// Sentinels are asked several times a second, and a connection and a login cost more than the questions. A link that
/// ends is opened again when it is needed. Runs on its reactor's thread.
package final class SentinelLinks {
    package typealias Completion = (Result<EngineLink, EngineFailure>) -> Void

    private enum State {
        case opening(EngineLink, [Completion])
        case open(EngineLink)
    }

    private let access: EngineLink.Access
    private let limits: EngineLink.Limits
    private let reactor: Reactor
    private var states: [Endpoint: State] = [:]

    package init(_ access: EngineLink.Access, _ limits: EngineLink.Limits = .init(), on reactor: Reactor) {
        (self.access, self.limits, self.reactor) = (access, limits, reactor)
    }

    deinit { close() }

    /// Calls `completion` once with an open link, in a later turn, unless ``close()`` is called before.
    func open(_ sentinel: Endpoint, _ completion: @escaping Completion) {
        switch states[sentinel] {
        case .open(let link): reactor.runSoon { completion(.success(link)) }
        case .opening(let link, let waiting): states[sentinel] = .opening(link, waiting + [completion])
        case nil:
            let link = EngineLink.open(sentinel, access, limits, on: reactor) { [weak self] in
                self?.opened($0, sentinel)
            }
            states[sentinel] = .opening(link, [completion])
        }
    }

    private func opened(_ result: Result<EngineLink, EngineFailure>, _ sentinel: Endpoint) {
        guard case .opening(_, let waiting) = states[sentinel] else { return }
        if case .success(let link) = result {
            states[sentinel] = .open(link)
            link.onEnd = { [weak self] _ in self?.states[sentinel] = nil }
        } else {
            states[sentinel] = nil
        }
        for completion in waiting { completion(result) }
    }

    /// Closes all links; commands that wait for their answers fail.
    package func close() {
        let links = states.values
        states = [:]
        for state in links {
            switch state {
            case .opening(let link, _), .open(let link): link.close()
            }
        }
    }
}
