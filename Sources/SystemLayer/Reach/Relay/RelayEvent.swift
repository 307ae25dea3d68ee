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

/// What a relay carries now, and has carried.
public struct RelayStatistics: Hashable, Sendable {
    /// Reservations and circuits that stand.
    public package(set) var reservations = 0
    public package(set) var circuits = 0
    public package(set) var openedCircuits: UInt64 = 0
    /// Requests that were refused.
    public package(set) var refusals: UInt64 = 0
    /// Bytes of frames passed on.
    public package(set) var forwardedBytes: UInt64 = 0
    /// Frames dropped because they did not come from their circuit's side.
    public package(set) var strayDatagrams: UInt64 = 0

    package init() {}
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
