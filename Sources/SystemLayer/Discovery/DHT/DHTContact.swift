package import DeP2PIdentity
package import DeP2PReactor

/// A node of the DHT and where it is said to be.
package struct DHTContact: Hashable, Sendable {
    /// Addresses kept of one node; more than a host with both families on a few networks has.
    package static let addressLimit = 16

    package let nodeID: NodeID
    package let key: DHTKey
    /// Without the NodeID at their end; what of them may be dialled is `AddressRule`'s to say, before they get here.
    package let addresses: [Address]
    /// The subnets that its addresses lie in, each once: what the diversity of an answer is counted by. Empty for a node of
    /// this machine or this network, which no stranger can pretend to be.
    package let subnets: [Subject]

    /// - Parameter key: that of `nodeID`, where it is known already: it costs a hash.
    package init(_ nodeID: NodeID, addresses: [Address], key: DHTKey? = nil) {
        self.nodeID = nodeID
        self.key = key ?? DHTKey(nodeID)
        self.addresses = Array(addresses.prefix(Self.addressLimit))
        var subnets: [Subject] = []
        for case .ip(let ip)? in self.addresses.map(\.host) where ip.isGlobal {
            let subnet = Subject(ip).subnet
            if !subnets.contains(subnet) { subnets.append(subnet) }
        }
        self.subnets = subnets
    }

    /// A node is one whatever is said of its addresses.
    package static func == (left: Self, right: Self) -> Bool { left.key == right.key }

    package func hash(into hasher: inout Hasher) { hasher.combine(key) }
}
