package import DeP2PIdentity
package import DeP2PQUIC
package import DeP2PReactor

/// Opens sockets: the kernel's, or a simulated network's.
package protocol NodeSockets: Sendable {
    /// Binds UDP sockets, one for each address; for none one port in every family that there is.
    @NetworkActor func driver(_ addresses: [SocketAddress]) throws -> any PacketDriver

    /// Binds TCP sockets; `nil` for none.
    @NetworkActor func listener(_ addresses: [SocketAddress]) throws -> TCPListener?

    /// Opens a socket for single datagrams, bound to an address whose port may be 0 for a free one.
    ///
    /// - Parameter forStrangers: whether anybody may write to it unasked: what is beyond a budget is dropped then.
    @NetworkActor func channel(_ address: SocketAddress, forStrangers: Bool) throws -> any DatagramChannel

    /// Opens a socket in a multicast group, which anybody may write to: what is beyond a budget is dropped.
    ///
    /// - Parameters:
    ///   - group: with port 0 for a free one.
    ///   - interface: its index; 0 for the one that the route to the group leads over.
    @NetworkActor func member(of group: SocketAddress, on interface: UInt32) throws -> any DatagramChannel

    /// Tells when addresses or routes change; `nil` where nobody does.
    @NetworkActor func changes() -> (any NetworkChangeSource)?

    /// Tells when the machine has slept, or its wall clock was set; `nil` where nobody does.
    @NetworkActor func clockChanges() -> (any ClockChangeSource)?

    /// The address that datagrams to `destination` carry; `nil` when there is no route.
    func source(toward destination: SocketAddress) -> IPAddress?

    /// Whether they are the kernel's, so that libraries may open more of them by themselves.
    var areSystem: Bool { get }
}
