import Synchronization
import Testing

@testable import Broker
@testable import WSTransport

@Suite("Requests between the brokers of a cluster")
struct NodeCallsTests {
    /// Brokers whose letters arrive at once, or never.
    private final class Post: Sendable {
        let nodes = [UInt64](1...3).map { NodeCalls(node: $0) }
        let lost = Mutex<Set<UInt64>>([])

        init() {
            for node in nodes {
                node.begin { [unowned self] letter, place in
                    guard !lost.withLock({ $0.contains(place) }), let read = NodeLetter(letter.bytes) else { return }
                    nodes[Int(place) - 1].take(read)
                }
                node.serve { question, sender, answer in answer(question + [UInt8(sender)]) }
            }
        }
    }

    private final class Answers: Sendable {
        let all = Mutex<[[UInt64: [UInt8]]]>([])
    }

    @Test("The answers are returned as soon as all have come, or when the asking broker gives up")
    func returnsAnswersOnceCompleteOrGivenUp() {
        let (post, answers) = (Post(), Answers())
        func ask() -> UInt64? {
            post.nodes[0].ask([2, 3], [7]) { found in answers.all.withLock { $0.append(found) } }
        }
        _ = ask()
        #expect(answers.all.withLock { $0 } == [[2: [7, 1], 3: [7, 1]]])
        post.lost.withLock { $0 = [3] }
        guard let number = ask() else {
            Issue.record("too many questions")
            return
        }
        #expect(answers.all.withLock { $0.count } == 1)
        post.nodes[0].giveUp(number)
        post.nodes[0].giveUp(number)
        #expect(answers.all.withLock { $0.last } == [2: [7, 1]] && answers.all.withLock { $0.count } == 2)
        // Letters that are late, duplicate or unrequested are ignored.
        for sender in [UInt64(2), 3, 9] { post.nodes[0].take(NodeLetter(.answer, number, from: sender, [])) }
        #expect(answers.all.withLock { $0.count } == 2)
    }

    @Test("Open questions are limited")
    func limitsOpenQuestions() {
        let post = Post()
        post.lost.withLock { $0 = [2] }
        let numbers = (0..<300).map { _ in post.nodes[0].ask([2], []) { _ in } }
        #expect(numbers.count { $0 == nil } == 44)
        for number in numbers.compactMap(\.self).prefix(3) { post.nodes[0].giveUp(number) }
        #expect(post.nodes[0].counts == .init(asked: 256, incomplete: 3, refused: 44))
    }

    @Test("Questions from other brokers are answered up to a limit at a time")
    func limitsQuestionsFromOthers() {
        let node = NodeCalls(node: 1)
        node.begin { _, _ in }
        node.serve { _, _, _ in }
        for number in UInt64(0)..<70 { node.take(NodeLetter(.question, number, from: 2, [])) }
        #expect(node.counts == .init(ignored: 6))
    }

    @Test("Malformed letters are rejected", arguments: 0..<19)
    func rejectsMalformedLetters(length: Int) {
        let letter = NodeLetter(.question, 5, from: .max, [1])
        #expect(NodeLetter(letter.bytes) == letter)
        #expect((NodeLetter(Array(letter.bytes.prefix(length))) == nil) == (length < 18))
        var other = letter.bytes
        other[length % 2] = 9
        #expect(NodeLetter(other) == nil)
    }
}
