internal import WSTransport

extension ClusterRequest: AnsweredRequest {
    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal) {
        then(.success(try caller.desk.facts.clusterDesk().summary()))
    }
}

extension ForgetNodeRequest: AnsweredRequest {
    var subject: String? { "node \(node)" }

    func answer(_ caller: AdminCaller, _ then: @escaping (Result<Answer, Refusal>) -> Void) throws(Refusal) {
        guard try caller.desk.facts.clusterDesk().forget(node) else {
            throw Refusal(.notFound, "There is no broker \(AuditEvent.clip(node)) that has gone.")
        }
        then(.success(AdminDone()))
    }
}

/// The cluster, for administrators.
package struct ClusterDesk: Sendable {
    /// This broker.
    let here: ClusterPeer
    /// How it is now.
    let summary: @Sendable () -> ClusterRequest.Answer
    /// Forgets a broker that is gone; `false`: there is none of that number.
    let forget: @Sendable (_ node: String) -> Bool
    /// The other brokers that are there.
    let peers: @Sendable () -> [ClusterPeer]
    /// Asks other brokers, and returns the question's number; `nil`: too many are open.
    ///
    /// `then` gets what they have answered, when all have, or by ``giveUp``.
    let ask:
        @Sendable (
            _ nodes: [UInt64], _ question: [UInt8], _ then: @escaping @Sendable ([UInt64: [UInt8]]) -> Void
        ) -> UInt64?
    /// Waits no longer for the answers to a question.
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
