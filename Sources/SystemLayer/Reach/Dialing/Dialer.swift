package import DeP2PIdentity
package import DeP2PReactor
package import DeP2PSessions

/// A connection through a relay.
struct RelayedConnection {
    let connection: any SecureConnection
    /// The address of the relay that was used.
    let relay: Address?
    /// What it took to connect to the relay; empty when that had been done before.
    let attempts: [ConnectAttempt]
}

/// Makes a connection to a node through the relay at the addresses.
typealias RelayDial = @NetworkActor @Sendable (_ relay: [Address], _ target: NodeID) async throws -> RelayedConnection

/// The connection pipeline: resolves names, races the addresses of both families and relays, records every attempt.
@NetworkActor
package final class Dialer: Dialling {
    /// How paths through relays are made; `nil` leaves them out.
    var relayDial: RelayDial?
    /// Where UDP is known to be blocked.
    package let udp: UDPMemory
    let transport: any Transport
    let clock: any NetworkClock
    let limits: ConnectionLimits
    let resolver: NameResolver

    /// - Parameters:
    ///   - names: by default this machine's.
    ///   - udp: by default of the networks that this machine is in.
    package convenience init(
        transport: any Transport, clock: any NetworkClock, limits: ConnectionLimits, names: NameSource = .system,
        udp: UDPMemory = UDPMemory()
    ) {
        self.init(
            transport: transport, clock: clock, limits: limits,
            resolver: NameResolver(clock: clock, deadline: limits.resolveDeadline, source: names), udp: udp)
    }

    init(
        transport: any Transport, clock: any NetworkClock, limits: ConnectionLimits, resolver: NameResolver,
        udp: UDPMemory = UDPMemory()
    ) {
        self.udp = udp
        self.transport = transport
        self.clock = clock
        self.limits = limits
        self.resolver = resolver
    }

    package func dial(_ nodeID: NodeID?) -> any Dial { DialRace(nodeID, of: self) }
}
