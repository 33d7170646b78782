package import WSTransport

/// Clients that are shut out: none comes in, and those that are here end at once.
extension Shard {
    /// Other bans hold from here on.
    ///
    /// - Returns: how many clients were ended by it.
    package func adopt(_ new: BanList) -> Int {
        // The letters of two reactors may come in another order than they were written.
        guard new.version > bans.version else { return 0 }
        bans = new
        if new.isEmpty { return 0 }
        var count = 0
        for session in everybody {
            let client = session.client
            guard let ban = new.ban(of: client.principal, at: client.host, now: reactor.now) else { continue }
            counters.bannedClients.add(1)
            count += 1
            session.end(.kicked(Self.banned(ban)))
        }
        return count
    }

    /// What the client is told: not why, nor that of others.
    static func banned(_ ban: Ban) -> String {
        ban.expires == nil ? "banned" : "banned for a time"
    }

    /// Whether whatever comes from an address is shut out.
    package func isShutOut(_ peer: SocketAddress?) -> Bool {
        guard bans.hasAddresses, let peer, peer.path == nil,
            let ban = bans.ban(ofAddress: peer.host, now: reactor.now)
        else { return false }
        witness?.shutOut(ban, peer)
        return true
    }

    /// Refuses a client that is shut out.
    package func checkBans(of principal: Principal, at peer: SocketAddress?) throws(Refusal) {
        if bans.isEmpty { return }
        guard let ban = bans.ban(of: principal, at: peer?.path == nil ? peer?.host : nil, now: reactor.now) else {
            return
        }
        counters.bannedRequests.add(1)
        witness?.shutOut(ban, peer)
        throw Refusal(.forbidden, ban.expires == nil ? "You are banned." : "You are banned for a time.")
    }
}
