package import DeP2PIdentity
package import DeP2PReactor

/// What Multicast DNS needs of the machine and the node.
package struct MDNSSurroundings: Sendable {
    package let clock: any NetworkClock
    package let random: RandomSource
    /// The interfaces to speak on.
    package let links: @Sendable () -> [NetworkLink]
    /// Opens a socket in a group, on an interface.
    package let open:
        @NetworkActor @Sendable (_ group: SocketAddress, _ interface: UInt32) throws -> any DatagramChannel
    /// The node's addresses on an interface, best first.
    package let addresses: @NetworkActor @Sendable (NetworkLink) -> [Address]

    package init(
        clock: any NetworkClock, random: RandomSource, links: @escaping @Sendable () -> [NetworkLink],
        open:
            @escaping @NetworkActor @Sendable (_ group: SocketAddress, _ interface: UInt32) throws
            -> any DatagramChannel,
        addresses: @escaping @NetworkActor @Sendable (NetworkLink) -> [Address]
    ) {
        (self.clock, self.random, self.links, self.open, self.addresses) = (clock, random, links, open, addresses)
    }
}

extension IPAddress.Family {
    /// 224.0.0.251 and ff02::fb (RFC 6762 section 3).
    var multicastDNS: IPAddress {
        switch self {
        case .v4: IPAddress(v4: 0xe000_00fb)
        case .v6: IPAddress(v6High: 0xff02_0000_0000_0000, low: 0xfb)
        }
    }
}
