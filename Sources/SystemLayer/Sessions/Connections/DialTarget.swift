public import DeP2PIdentity

/// Who to connect to: a NodeID, addresses, or both.
public struct DialTarget: Hashable, Sendable {
    /// Who must answer; `nil` takes whoever does.
    public let nodeID: NodeID?
    public let addresses: [Address]

    /// An address that ends in `/p2p/ID` names the node, where `nodeID` does not.
    public init(nodeID: NodeID? = nil, addresses: [Address]) {
        self.nodeID = nodeID ?? addresses.lazy.compactMap(\.nodeID).first
        self.addresses = addresses
    }

    /// The node at `address`.
    public init(_ address: Address) { self.init(addresses: [address]) }

    /// The node, wherever it is known to be.
    public init(_ nodeID: NodeID) { self.init(nodeID: nodeID, addresses: []) }
}
