package import DeP2PIdentity
package import DeP2PReactor

/// What this machine's place in the network depends on: its addresses, and where it sends everything else.
package struct NetworkSnapshot: Hashable, Sendable {
    package let addresses: Set<IPAddress>
    package let gateways: [Gateway]

    package init(addresses: some Sequence<IPAddress>, gateways: [Gateway]) {
        self.addresses = Set(addresses)
        self.gateways = gateways
    }
}
