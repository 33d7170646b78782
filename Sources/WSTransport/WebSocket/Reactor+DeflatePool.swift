extension Reactor {
    /// zlib's memory for the WebSockets of this reactor; made on first use.
    package var deflatePool: DeflatePool {
        if let pool = self[DeflatePool.self] { return pool }
        let pool = DeflatePool()
        self[DeflatePool.self] = pool
        return pool
    }
}
