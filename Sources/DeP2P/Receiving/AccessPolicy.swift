public import DeP2PIdentity

/// From whom a node takes anything: connections, straight and through relays, messages, transfers.
public enum AccessPolicy: Hashable, Sendable {
    /// Every member of the realm.
    case members
    /// These alone. Another node that connects is told that it may not, and the connection ends.
    case only(Set<NodeID>)

    /// What those who are left out are told.
    static let refusal = "it does not receive from you"

    func admits(_ nodeID: NodeID) -> Bool {
        switch self {
        case .members: true
        case .only(let nodes): nodes.contains(nodeID)
        }
    }
}
