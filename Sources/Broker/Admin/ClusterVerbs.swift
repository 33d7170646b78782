internal import WSTransport

extension ClusterRequest: AnsweredRequest {
    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal) {
        then(.success(try caller.desk.facts.clusterDesk().summary()))
    }
}

extension ForgetNodeRequest: AnsweredRequest {
    var subject: String? { "node \(node)" }

    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal) {
        if let refusal = try caller.desk.facts.clusterDesk().forget(node) { throw refusal }
        then(.success(AdminDone()))
    }
}

/// The cluster, for administrators.
package struct ClusterDesk: Sendable {
    /// This broker.
    let here: ClusterPeer
    /// The present state of the cluster, as this broker sees it.
    let summary: @Sendable () -> ClusterRequest.Answer
    /// Forgets a broker that is down, given by name or number; returns why not, or `nil`.
    let forget: @Sendable (_ node: String) -> Refusal?
    /// The other brokers that have neither left nor been forgotten, silent ones included.
    let peers: @Sendable () -> [ClusterPeer]
    /// Sends a request to other brokers, and returns its number; `nil` if too many requests are in progress.
    ///
    /// `then` gets the answers when all have arrived, or after ``giveUp``.
    let ask:
        @Sendable (
            _ nodes: [UInt64], _ question: [UInt8], _ then: @escaping @Sendable ([UInt64: [UInt8]]) -> Void
        ) -> UInt64?
    /// Stops waiting for the answers to a request.
    let giveUp: @Sendable (_ number: UInt64) -> Void
}

extension BrokerFacts {
    fileprivate func clusterDesk() throws(Refusal) -> ClusterDesk {
        guard let cluster else {
            throw Refusal(.notFound, "This broker is not in a cluster: its settings have no cluster.")
        }
        return cluster
    }
}
