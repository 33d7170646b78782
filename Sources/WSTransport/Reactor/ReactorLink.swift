internal import Synchronization

/// The name of something that lives on a reactor, for those on other threads who use it.
package struct ReactorLink: Sendable {
    /// `nil`: there is no reactor.
    let remote: Remote?
    private let number: UInt64
    private static let last = Atomic<UInt64>(0)

    /// A name that nothing has yet.
    init(remote: Remote?) {
        self.remote = remote
        number = Self.last.wrappingAdd(1, ordering: .relaxed).newValue
    }

    /// Gives `object` this name, until ``release(on:)``.
    ///
    /// The reactor's thread.
    func bind(_ object: AnyObject, on reactor: Reactor) { reactor.named[number] = object }

    /// Forgets the name.
    ///
    /// The reactor's thread.
    func release(on reactor: Reactor) { reactor.named[number] = nil }

    /// Runs `body` on the reactor's thread with the object of this name, or `nil` when there is none (any more).
    ///
    /// Any thread.
    func run<Object: AnyObject>(with type: Object.Type, _ body: @escaping @Sendable (Object?) -> Void) {
        let isPosted = remote?.run { reactor in body(reactor.named[number] as? Object) } ?? false
        if !isPosted { body(nil) }
    }
}
