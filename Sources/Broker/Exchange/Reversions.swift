internal import WSTransport

/// Shows subscribers the values that topics still have, after they were shown values that the store then refused.
///
/// A message is delivered before it is on disk. If the store refuses a retained one, the topic keeps its previous
/// value, or none, and subscribers have seen something else. So the stored value is published again, as a message that
/// is not retained, on the condition that it is still the topic's value. If there is none, the removal is published.
///
/// Runs on the thread of one shard, which does this for all.
final class Reversions {
    // The shard owns this object.
    private unowned let shard: Shard
    /// The topics, in the order of their first refusal.
    private var topics: ArraySlice<Topic> = []
    /// The newest refused message of each of them.
    private var refused: [Topic: Refused] = [:]

    private struct Refused {
        let seq: UInt64
        let isRemoval: Bool
    }

    /// How many topics may wait; values of further topics are not shown.
    static let maximumTopics = 4096
    /// How much is published in one turn, in bytes.
    private static let piece = 64 * 1024
    /// When to try again if the exchange or the store is busy, in nanoseconds.
    private static let pause: Int64 = 20_000_000

    init(shard: Shard) { self.shard = shard }

    /// Adds retained messages that the store refused.
    func add(_ messages: [Message]) {
        let isIdle = topics.isEmpty
        for message in messages {
            let topic = message.topic
            if refused[topic] == nil {
                guard topics.count < Self.maximumTopics else {
                    shard.counters.omittedReversions.add(1)
                    continue
                }
                topics.append(topic)
            }
            refused[topic] = Refused(seq: message.number, isRemoval: message.isRemoval)
        }
        if isIdle { publishSoon() }
    }

    private func publishSoon() {
        guard !topics.isEmpty else { return }
        shard.reactor.runSoon { [weak self] in self?.publish() }
    }

    /// Publishes a piece, and the rest in later turns.
    private func publish() {
        var room = Self.piece
        while room > 0, let topic = topics.first {
            let value: Message?
            do throws(Refusal) {
                if shard.sequencer.isCongested(by: shard.index) { return publishLater() }
                value = try shard.sequencer.value(of: topic)
            } catch {
                return publishLater()
            }
            topics.removeFirst()
            guard let last = refused.removeValue(forKey: topic) else { continue }
            // A newer value has been shown since, or the refused message was a removal and there is no value.
            guard value.map({ $0.number < last.seq }) ?? !last.isRemoval else { continue }
            let cost = value?.weight ?? topic.name.utf8.count
            room -= max(cost, Self.piece / shard.sequencer.ownPublications)
            show(value, of: topic)
        }
        publishSoon()
    }

    private func publishLater() {
        shard.reactor.run(afterNanoseconds: Self.pause) { [weak self] in self?.publish() }
    }

    private func show(_ value: Message?, of topic: Topic) {
        var draft = Draft(topic: topic, payload: value?.payload.array ?? [], kind: value?.kind ?? .binary)
        draft.contentType = value?.contentType
        draft.properties = value?.properties
        // Only a retained message can be a removal. If the store refuses this one, too, it is not tried again.
        draft.isRetained = value == nil
        if let value, value.expiry != 0 { draft.timeToLive = value.expiry - Lifetime.now }
        draft.condition = value.map { .matches([$0.number]) } ?? .absent
        shard.counters.reversions.add(1)
        shard.publish(draft, from: nil)
    }
}
