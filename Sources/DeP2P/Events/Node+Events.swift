extension Node {
    /// What happens from now on, for one observer; there may be several, and each has a queue of its own. What there was to
    /// say of the node's storage before, and still holds, comes first.
    ///
    /// - Parameters:
    ///   - kinds: what the observer wants to hear of.
    ///   - capacity: events that may wait for the observer; beyond, they are left out and counted.
    public func events(
        of kinds: NodeEvent.Kinds = .all, capacity: Int = NodeEvents.defaultCapacity
    ) -> NodeEvents {
        hub.observe(kinds, capacity: capacity, earlier: notices.earlier.map { .storage($0) })
    }
}
