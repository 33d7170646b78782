internal import Synchronization

/// The name of something that lives on a reactor, for those on other threads who use it.
package struct ReactorLink: Sendable {
    /// `nil`: there is no reactor.
    let remote: Remote?
    private let number: UInt64
    private static let last = Atomic<UInt64>(0)

    /// A name that nothing has yet.
    package init(remote: Remote?) {
        self.remote = remote
        number = Self.last.wrappingAdd(1, ordering: .relaxed).newValue
    }

    /// Gives `object` this name, until ``release(on:)``.
    ///
    /// The reactor's thread.
    package func bind(_ object: AnyObject, on reactor: Reactor) { reactor.linkedObjects.byNumber[number] = object }

    /// Forgets the name.
    ///
    /// The reactor's thread.
    package func release(on reactor: Reactor) { reactor.linkedObjects.byNumber[number] = nil }

    /// The object of this name, which is forgotten; `nil`: there is none (any more).
    ///
    /// The reactor's thread.
    package func take<Object: AnyObject>(_ type: Object.Type, on reactor: Reactor) -> Object? {
        reactor.linkedObjects.byNumber.removeValue(forKey: number) as? Object
    }

    /// Runs `body` on the reactor's thread with the object of this name, or `nil` when there is none (any more).
    ///
    /// Any thread.
    package func run<Object: AnyObject>(with type: Object.Type, _ body: @escaping @Sendable (Object?) -> Void) {
        let isPosted =
            remote?.run { reactor in body(reactor.linkedObjects.byNumber[number] as? Object) } ?? false
        if !isPosted { body(nil) }
    }

    /// The same, with the object that has this name for the last time.
    ///
    /// Any thread.
    package func take<Object: AnyObject>(_ type: Object.Type, _ body: @escaping @Sendable (Object?) -> Void) {
        let isPosted = remote?.run { reactor in body(take(type, on: reactor)) } ?? false
        if !isPosted { body(nil) }
    }
}

/// What links name on one reactor.
final class LinkedObjects {
    var byNumber: [UInt64: AnyObject] = [:]
}

extension Reactor {
    /// Made for the first link.
    var linkedObjects: LinkedObjects {
        if let known = self[LinkedObjects.self] { return known }
        let made = LinkedObjects()
        self[LinkedObjects.self] = made
        return made
    }
}
