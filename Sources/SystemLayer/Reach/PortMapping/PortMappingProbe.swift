internal import DeP2PIdentity
package import DeP2PReactor

/// Asks the gateway which port mapping protocols it speaks, without mapping anything.
@NetworkActor
package final class PortMappingProbe {
    /// When the questions are sent, and when silence means no.
    static let sendTimes: [Duration] = [.zero, .milliseconds(250), .milliseconds(750)]
    static let limit = Duration.milliseconds(1500)

    private let clock: any NetworkClock

    package init(clock: any NetworkClock = SystemNetworkClock.shared) { self.clock = clock }

    /// Whether each protocol was answered, within about two seconds; empty without an IPv4 gateway.
    ///
    /// - Throws: `CancellationError`.
    package func run(in surroundings: PortMappingSurroundings) async throws -> [PortMappingProtocol: Bool] {
        guard let (gateway, client) = surroundings.ends(.v4),
            let socket = traced("a socket to ask the gateway", at: .notable, { try surroundings.open(.v4) })
        else { return [:] }
        defer { socket.close() }
        let usesUPnP = surroundings.usesUPnP
        async let upnp = offload { usesUPnP && UPnPGateway.discover(milliseconds: 1500) != nil }
        var result = try await ask(gateway, by: socket, client: client)
        result[.upnp] = try await upnp
        return result
    }

    func ask(
        _ gateway: SocketAddress, by socket: any DatagramChannel, client: IPAddress
    ) async throws -> [PortMappingProtocol: Bool] {
        var result: [PortMappingProtocol: Bool] = [.pcp: false, .natPMP: false]
        let done = Waiter<Void>()
        socket.onDatagram = { datagram in
            guard datagram.remote.ip == gateway.ip, datagram.remote.port == gateway.port else { return }
            if PCP.response(datagram.bytes) != nil { result[.pcp] = true }
            if case .address? = NATPMP.response(datagram.bytes) { result[.natPMP] = true }
            if !result.values.contains(false) { done.resume(returning: ()) }
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
