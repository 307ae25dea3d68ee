public import DeP2PSessions

extension Node {
    /// Who is online or unstable now, in the order of NodeIDs: the realm's members, and others that this node is connected
    /// with. What changes is told as ``NodeEvent/peer(_:)``.
    public var peers: [PeerPresence] {
        parts.lazy.compactMap { $0 as? LivenessPart }.first?.peers ?? []
    }
}
