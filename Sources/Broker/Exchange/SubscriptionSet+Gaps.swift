/// The gaps to announce, each at its place in the order of what is sent.
extension SubscriptionSet {
    /// Takes the gaps that end with `seq` or before, to be announced.
    func takeGaps(upTo seq: UInt64) -> [(subscription: Subscription, gap: Gap)] {
        guard let ledger, ledger.nextGap <= seq else { return [] }
        ledger.nextGap = .max
        var gaps: [(Subscription, Gap)] = []
        func take(_ subscription: inout Subscription) {
            gaps += subscription.takeGaps(upTo: seq).map { (subscription, $0) }
            if let next = subscription.gaps.first { ledger.nextGap = min(ledger.nextGap, next.seq) }
        }
        for place in current.indices { take(&current[place]) }
        for place in ledger.ended.indices { take(&ledger.ended[place]) }
        return gaps
    }

    /// Takes the part of a filter's gaps before its end marker.
    func takeGap(of filter: TopicFilter, upTo seq: UInt64) -> [(subscription: Subscription, gap: Gap)] {
        guard let ledger, ledger.nextGap != .max, let place = index(of: filter),
            let gap = current[place].takeGap(upTo: seq, leaving: seq)
        else { return [] }
        return [(current[place], gap)]
    }

    /// Takes the part before a message of the gaps that would reach past it: those of all subscriptions that match it,
    /// and those that were merged because there were too many.
    func takeGaps(before message: Message) -> [(subscription: Subscription, gap: Gap)] {
        guard let ledger, ledger.nextGap != .max else { return [] }
        var gaps: [(Subscription, Gap)] = []
        func take(_ subscription: inout Subscription) {
            guard let gap = subscription.takeGap(upTo: message.seq - 1, leaving: message.seq) else { return }
            gaps.append((subscription, gap))
        }
        index(ledger).forEach(matching: message.topic) { place in
            if place < current.count { take(&current[place]) } else { take(&ledger.ended[place - current.count]) }
        }
        guard ledger.hasWideGaps else { return gaps }
        ledger.hasWideGaps = false
        func takeWide(_ subscription: inout Subscription) {
            guard subscription.hasWideGap else { return }
            take(&subscription)
            if subscription.hasWideGap { ledger.hasWideGaps = true }
        }
        for place in current.indices { takeWide(&current[place]) }
        for place in ledger.ended.indices { takeWide(&ledger.ended[place]) }
        return gaps
    }
}
