internal import DeP2PReactor

extension Node {
    /// Calls `observer` when this machine's addresses or routes have changed, after the node has seen to it.
    public func onNetworkChange(_ observer: @escaping @NetworkActor () -> Void) { networkObservers.append(observer) }
}
