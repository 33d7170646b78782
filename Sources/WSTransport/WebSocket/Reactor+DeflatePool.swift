extension Reactor {
    /// zlib's memory for the WebSockets of this reactor; made on first use.
    package var deflatePool: DeflatePool {
        if let pool = shared as? DeflatePool { return pool }
        let pool = DeflatePool()
        shared = pool
        return pool
    }
}
