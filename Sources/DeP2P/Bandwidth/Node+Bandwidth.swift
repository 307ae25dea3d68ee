internal import DeP2PReactor
internal import DeP2PSessions

extension Node {
    /// What this node has carried since its start, in bytes and bytes a second.
    ///
    /// It costs as much as there are connections and streams, and nothing until somebody asks.
    public var bandwidth: Bandwidth {
        var bandwidth = Bandwidth(connections.bandwidth)
        rates.add(to: &bandwidth, now: clock.now)
        return bandwidth
    }
}
