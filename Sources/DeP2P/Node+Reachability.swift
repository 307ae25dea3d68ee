internal import DeP2PReactor
public import SystemLayer

extension Node {
    /// Whether others reach this node straight, as far as nodes that dialled back have found out.
    public var reachability: Reachability.State { own.reachability.state }

    /// Calls `observer` when the reachability, or the addresses that others have reached, changed.
    public func onReachability(_ observer: @escaping @NetworkActor (Reachability.State) -> Void) {
        reachabilityObservers.append(observer)
    }
}
