internal import Synchronization

/// A handle to an object on a reactor, for use on other threads.
package struct ReactorLink: Sendable {
    /// `nil` if there is no reactor.
    let remote: Remote?
    private let number: UInt64
    private static let last = Atomic<UInt64>(0)

    /// Makes a handle without an object.
    package init(remote: Remote?) {
        self.remote = remote
        number = Self.last.wrappingAdd(1, ordering: .relaxed).newValue
    }

    /// Binds `object` to this handle, until ``release(on:)``.
    ///
    /// Called on the reactor's thread.
    package func bind(_ object: AnyObject, on reactor: Reactor) { reactor.linkedObjects.byNumber[number] = object }

    /// Releases the object.
    ///
    /// Called on the reactor's thread.
    package func release(on reactor: Reactor) { reactor.linkedObjects.byNumber[number] = nil }

    /// Removes and returns the object; `nil` if there is none (any more).
    ///
    /// Called on the reactor's thread.
    package func take<Object: AnyObject>(_ type: Object.Type, on reactor: Reactor) -> Object? {
        reactor.linkedObjects.byNumber.removeValue(forKey: number) as? Object
    }

    /// Runs `body` on the reactor's thread with the object, or `nil` if there is none (any more).
    ///
    /// Any thread.
    package func run<Object: AnyObject>(with type: Object.Type, _ body: @escaping @Sendable (Object?) -> Void) {
        let isPosted =
            remote?.run { reactor in body(reactor.linkedObjects.byNumber[number] as? Object) } ?? false
        if !isPosted { body(nil) }
    }

    /// The same, and releases the object.
    ///
    /// Any thread.
    package func take<Object: AnyObject>(_ type: Object.Type, _ body: @escaping @Sendable (Object?) -> Void) {
        let isPosted = remote?.run { reactor in body(take(type, on: reactor)) } ?? false
        if !isPosted { body(nil) }
    }
}

/// The objects of handles on one reactor.
final class LinkedObjects {
    var byNumber: [UInt64: AnyObject] = [:]
}

extension Reactor {
    /// Made for the first handle.
    var linkedObjects: LinkedObjects {
        if let known = self[LinkedObjects.self] { return known }
        let made = LinkedObjects()
        self[LinkedObjects.self] = made
        return made
    }
}

/// Waits in a task for an answer that several sources may give; the first one counts, and cancellation is one.
///
/// Any thread.
final class FirstAnswer<Value: Sendable>: Sendable {
    private enum State {
        case new
        case awaited(CheckedContinuation<Value, any Error>)
        case given
    }

    private let state = Mutex(State.new)

    /// Waits for the answer that `ask` arranges; throws `CancellationError` if the task is cancelled first.
    static func wait(_ ask: (FirstAnswer) -> Void) async throws -> Value {
        let answer = FirstAnswer()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let isNew = answer.state.withLock { state in
                    guard case .new = state else { return false }
                    state = .awaited(continuation)
                    return true
                }
                if isNew { ask(answer) } else { continuation.resume(throwing: CancellationError()) }
            }
        } onCancel: {
            answer.give(.failure(CancellationError()))
        }
    }

    /// Whether there is no answer yet.
    var isAwaited: Bool { state.withLock { if case .awaited = $0 { true } else { false } } }

    func give(_ result: Result<Value, any Error>) {
        let continuation = state.withLock { state -> CheckedContinuation<Value, any Error>? in
            defer { state = .given }
            if case .awaited(let continuation) = state { return continuation }
            return nil
        }
        continuation?.resume(with: result)
    }
}
