public import DeP2PIdentity

/// What became of a node's reservations with the relays that it uses, and of circuits to it.
public enum RelayEvent: Hashable, Sendable {
    case reserved(RelayReservation)
    case lost(Address)
    case refused(Address, reason: String, remedy: Remedy?)
    /// A circuit ended while a connection ran over it.
    case circuitEnded(relay: NodeID, CircuitEnd)
}

/// A reservation that stands.
public struct RelayReservation: Hashable, Sendable {
    public let relay: NodeID
    /// Where this node is reached through it, by each way to the relay, the preferred first.
    public let addresses: [Address]
    package let terms: RelayTerms

    package var address: Address { addresses[0] }
}

/// What a node does as a relay for others.
public enum RelayingEvent: Hashable, Sendable {
    case reserved(NodeID, isRenewal: Bool)
    /// It ran out, or its connection ended.
    case reservationEnded(NodeID)
    /// `circuit` numbers those of this relay.
    case opened(circuit: UInt64, from: NodeID, to: NodeID)
    case closed(circuit: UInt64, from: NodeID, to: NodeID, bytes: UInt64, reason: CircuitEnd)
    case refused(NodeID, RelayError)
}
