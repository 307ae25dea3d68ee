package import DeP2PIdentity
package import DeP2PReactor

/// What asking a gateway for a port needs of the machine.
package struct PortMappingSurroundings: Sendable {
    /// The router of a family's default route.
    package var gateway: @Sendable (IPAddress.Family) -> Gateway?
    /// This machine's address towards another.
    package var source: @Sendable (SocketAddress) -> IPAddress?
    /// Opens a socket of a family.
    package var open: @NetworkActor @Sendable (IPAddress.Family) throws -> any DatagramChannel
    /// Opens a socket in a multicast group.
    package var listen: @NetworkActor @Sendable (_ group: SocketAddress) throws -> any DatagramChannel
    /// UPnP's library opens sockets of this machine by itself: nothing for a simulation.
    package var usesUPnP: Bool

    package init(
        gateway: @escaping @Sendable (IPAddress.Family) -> Gateway?,
        source: @escaping @Sendable (SocketAddress) -> IPAddress?,
        open: @escaping @NetworkActor @Sendable (IPAddress.Family) throws -> any DatagramChannel,
        listen: @escaping @NetworkActor @Sendable (_ group: SocketAddress) throws -> any DatagramChannel,
        usesUPnP: Bool
    ) {
        (self.gateway, self.source, self.open, self.listen) = (gateway, source, open, listen)
        self.usesUPnP = usesUPnP
    }

    /// A machine without a gateway.
    package static let none = PortMappingSurroundings(
        gateway: { _ in nil }, source: { _ in nil }, open: { _ in throw NoSocket() }, listen: { _ in throw NoSocket() },
        usesUPnP: false)

    private struct NoSocket: Error {}

    /// The gateway, and this machine's address towards it; `nil` without a default route.
    func ends(_ family: IPAddress.Family) -> (gateway: SocketAddress, client: IPAddress)? {
        guard let gateway = gateway(family)?.socketAddress, let client = source(gateway) else { return nil }
        return (gateway, client)
    }
}
