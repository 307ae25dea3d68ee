public import DeP2PReach

extension Node {
    /// Whether others reach this node straight, as far as nodes that dialled back have found out.
    public var reachability: ReachabilityState { own.reachability.state }
}
