package import DeP2PIdentity
package import DeP2PReactor

/// Asks the gateway which port mapping protocols it speaks, without mapping anything.
@NetworkActor
package final class PortMappingProbe {
    /// What the gateway has said.
    package struct Answer: Equatable, Sendable {
        /// Whether each protocol was answered; empty without an IPv4 gateway.
        package var protocols: [PortMappingProtocol: Bool] = [:]
        /// The gateway's own external address, where it tells one.
        package var external: IPAddress?
    }

    /// When the questions are sent, and when silence means no.
    static let sendTimes: [Duration] = [.zero, .milliseconds(250), .milliseconds(750)]
    static let limit = Duration.milliseconds(1500)

    private let clock: any NetworkClock

    package init(clock: any NetworkClock = SystemNetworkClock.shared) { self.clock = clock }

    /// What the gateway answers within about two seconds.
    ///
    /// - Throws: `CancellationError`.
    package func run(in surroundings: PortMappingSurroundings) async throws -> Answer {
        guard let (gateway, client) = surroundings.ends(.v4),
            let socket = traced("a socket to ask the gateway", at: .notable, { try surroundings.open(.v4) })
        else { return Answer() }
        defer { socket.close() }
        let usesUPnP = surroundings.usesUPnP
        async let upnp = offload { () -> (isThere: Bool, external: IPAddress?) in
            guard usesUPnP, let gateway = UPnPGateway.discover(milliseconds: 1500) else { return (false, nil) }
            return (true, gateway.externalAddress)
        }
        var answer = try await ask(gateway, by: socket, client: client)
        let found = try await upnp
        answer.protocols[.upnp] = found.isThere
        answer.external = answer.external ?? found.external
        return answer
    }

    func ask(
        _ gateway: SocketAddress, by socket: any DatagramChannel, client: IPAddress
    ) async throws -> Answer {
        var result = Answer(protocols: [.pcp: false, .natPMP: false])
        let done = Waiter<Void>()
        socket.onDatagram = { datagram in
            guard datagram.remote.ip == gateway.ip, datagram.remote.port == gateway.port else { return }
            if PCP.response(datagram.bytes) != nil { result.protocols[.pcp] = true }
            if case .address(let external, _)? = NATPMP.response(datagram.bytes) {
                result.protocols[.natPMP] = true
                result.external = external
            }
            if !result.protocols.values.contains(false) { done.resume(returning: ()) }
        }
        // Nothing listens there: no protocol of this port.
        socket.onUnreachable = { _ in done.resume(returning: ()) }
        let timers = Self.sendTimes.map { delay in
            clock.schedule(after: delay) {
                socket.send(PCP.announceRequest(client: client), to: gateway)
                socket.send(NATPMP.addressRequest, to: gateway)
            }
        }
        let end = clock.schedule(after: Self.limit) { done.resume(returning: ()) }
        defer { for timer in timers + [end] { clock.cancel(timer) } }
        try await done.value()
        return result
    }
}
