package import DeP2PIdentity
package import DeP2PReactor

/// A node of the DHT and where it is said to be. A lookup moves hundreds of them, so what is said of it lies apart: a copy is one
/// reference and the key.
package struct DHTContact: Hashable, Sendable {
    /// Addresses kept of one node; more than a host with both families on a few networks has.
    package static let addressLimit = 16

    private final class Details: Sendable {
        let nodeID: NodeID
        let addresses: [Address]
        let subnets: [Subject]

        init(_ nodeID: NodeID, _ addresses: [Address], _ subnets: [Subject]) {
            (self.nodeID, self.addresses, self.subnets) = (nodeID, addresses, subnets)
        }
    }

    package let key: DHTKey
    private let details: Details

    package var nodeID: NodeID { details.nodeID }
    /// Without the NodeID at their end; what of them may be dialled is `AddressRule`'s to say, before they get here.
    package var addresses: [Address] { details.addresses }
    /// The subnets that its addresses lie in, each once: what the diversity of an answer is counted by. Empty for a node of
    /// this machine or this network, which no stranger can pretend to be.
    package var subnets: [Subject] { details.subnets }

    /// - Parameter key: that of `nodeID`, where it is known already: it costs a hash.
    package init(_ nodeID: NodeID, addresses: [Address], key: DHTKey? = nil) {
        self.key = key ?? DHTKey(nodeID)
        let addresses = Array(addresses.prefix(Self.addressLimit))
        var subnets: [Subject] = []
        for case .ip(let ip)? in addresses.map(\.host) where ip.isGlobal {
            let subnet = Subject(ip).subnet
            if !subnets.contains(subnet) { subnets.append(subnet) }
        }
        details = Details(nodeID, addresses, subnets)
    }

    /// A node is one whatever is said of its addresses.
    package static func == (left: Self, right: Self) -> Bool { left.key == right.key }

    package func hash(into hasher: inout Hasher) { hasher.combine(key) }
}
