package import DeP2PIdentity

/// Who to connect to: a NodeID, addresses, or both.
package struct DialTarget: Hashable, Sendable {
    /// Who must answer; `nil` takes whoever does.
    package let nodeID: NodeID?
    package let addresses: [Address]

    /// An address that ends in `/p2p/ID` names the node, where `nodeID` does not.
    package init(nodeID: NodeID? = nil, addresses: [Address]) {
        self.nodeID = nodeID ?? addresses.lazy.compactMap(\.nodeID).first
        self.addresses = addresses
    }
}
