package import WSTransport

/// What endpoints keep with a shard, one object of each kind.
extension Shard {
    /// Keeps `object`, in place of the one of its kind.
    package func keep<Object: AnyObject>(_ object: Object) { companions[ObjectIdentifier(Object.self)] = object }

    /// The object of that kind; `nil`: none is kept.
    package func kept<Object: AnyObject>(_ type: Object.Type) -> Object? {
        companions[ObjectIdentifier(type)] as? Object
    }
}

extension HTTPExchange {
    /// The shard of the reactor that it runs on.
    ///
    /// Throws where the connection has gone, so that nobody gets the answer.
    package func shard() throws(HTTPRefusal) -> Shard {
        guard let shard = reactor?.attachment as? Shard else {
            throw HTTPRefusal(status: 503, code: "unavailable", message: "The connection is gone.")
        }
        return shard
    }
}
