public import DeP2PHTTP
internal import DeP2PReactor

extension Node {
    /// Shows what the node does to programs of this machine, over HTTP: `/health`, `/node`, `/connections`, `/realm`, `/relay`,
    /// `/dht`, `/pubsub` and `/bandwidth` in JSON, `/metrics` for Prometheus, and `/`, a page for people. Until the node stops.
    ///
    /// It runs on a thread of its own, and holds the node up by no more than looking at its state some times a second. Whoever
    /// may connect learns with whom this node is connected, and where those are, but no key; on a port of the loopback
    /// interface that is every user of this machine, on a Unix socket this user alone.
    /// - Returns: where, with the real port of a free one.
    /// - Throws: ``DeP2PError`` `addressInUse` or `cannotListen`.
    @discardableResult
    public func introspect(on address: LocalAddress) throws(DeP2PError) -> LocalAddress {
        guard let introspection else { throw DeP2PError(.cannotListen, "this node is not whole yet") }
        return try introspection.start(on: address)
    }

    /// Where programs of this machine see it: ``introspect(on:)``.
    public var introspectionAddress: LocalAddress? { introspection?.address }

    var introspection: IntrospectionPart? { parts.lazy.compactMap { $0 as? IntrospectionPart }.first }
}
