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
            throw Refusal(.notFound, "There is no broker \(AuditEvent.clip(node)) that is gone.")
        }
        then(.success(AdminDone()))
    }
}

/// The cluster, for administrators.
package struct ClusterDesk: Sendable {
    /// How it is now.
    let summary: @Sendable () -> ClusterRequest.Answer
    /// Forgets a broker that is gone; `false`: there is none of that number.
    let forget: @Sendable (_ node: String) -> Bool

    package init(
        summary: @escaping @Sendable () -> ClusterRequest.Answer, forget: @escaping @Sendable (_ node: String) -> Bool
    ) {
        (self.summary, self.forget) = (summary, forget)
    }
}

extension BrokerFacts {
    fileprivate func clusterDesk() throws(Refusal) -> ClusterDesk {
        guard let cluster else { throw Refusal(.notFound, "The broker is by itself: its settings have no cluster.") }
        return cluster
    }
}
