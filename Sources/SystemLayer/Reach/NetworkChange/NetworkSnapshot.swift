public import DeP2PIdentity
public import DeP2PReactor

/// What this machine's place in the network depends on: its addresses, and where it sends everything else.
public struct NetworkSnapshot: Hashable, Sendable {
    public let addresses: Set<IPAddress>
    public let gateways: [Gateway]

    public init(addresses: some Sequence<IPAddress>, gateways: [Gateway]) {
        self.addresses = Set(addresses)
        self.gateways = gateways
    }
}
