package import DeP2PIdentity
internal import DeP2PQUIC
package import DeP2PReactor
internal import Glibc

/// Keeps one UDP port open on this network's gateway: the shell around ``PortMappingStateMachine``.
///
/// Calling order: set ``onChange``, ``start()``, and ``stop()`` at the end, which removes the mapping.
@NetworkActor
package final class PortMapper {
    /// How long a removal may hold up an exit.
    package static let removalLimit = Duration.seconds(3)

    /// The mapping, or that there is none any more.
    package var onChange: (@NetworkActor (PortMapping?) -> Void)?

    private let clock: any NetworkClock
    private let surroundings: PortMappingSurroundings
    private let gateway: SocketAddress
    private let client: IPAddress
    private let socket: any DatagramChannel
    /// Where gateways that have restarted say so to everyone (RFC 6887 section 14.1.1, RFC 6886 section 3.2.1).
    private let announcements: (any DatagramChannel)?
    private let driver: MachineDriver<PortMappingStateMachine>
    private var stopped: Waiter<Void>?
    /// Found at the first request by UPnP; another gateway is looked for when this one refuses.
    private var upnp: UPnPGateway?

    /// `nil` when the family has no gateway, or no socket is left.
    ///
    /// - Parameters:
    ///   - family: over IPv6 the gateway's firewall is opened, by PCP only.
    ///   - preferred: the first protocol tried.
    package convenience init?(
        internalPort: UInt16, family: IPAddress.Family = .v4, preferred: PortMappingProtocol = .pcp,
        clock: any NetworkClock = SystemNetworkClock.shared, random: RandomSource = .system,
        in surroundings: PortMappingSurroundings
    ) {
        // An address of one's own that is good everywhere needs no translation.
        guard let (gateway, client) = surroundings.ends(family), family == .v6 || !client.isGlobal,
            let socket = traced("a socket to ask the gateway", at: .notable, { try surroundings.open(family) })
        else { return nil }
        self.init(
            internalPort: internalPort, gateway: gateway, client: client, socket: socket,
            // Another program may have the port for itself: then a restart shows at the next renewal.
            announcements: family == .v4 ? Self.announcements(surroundings) : nil,
            preferred: preferred, clock: clock, random: random, in: surroundings)
    }

    private static func announcements(_ surroundings: PortMappingSurroundings) -> (any DatagramChannel)? {
        traced("a socket for the gateway's announcements", at: .notable) {
            try surroundings.listen(PCP.announcements)
        }
    }

    init(
        internalPort: UInt16, gateway: SocketAddress, client: IPAddress, socket: any DatagramChannel,
        announcements: (any DatagramChannel)? = nil, preferred: PortMappingProtocol = .pcp, clock: any NetworkClock,
        random: RandomSource = .system, in surroundings: PortMappingSurroundings = .none
    ) {
        (self.gateway, self.client, self.socket, self.clock) = (gateway, client, socket, clock)
        self.announcements = announcements
        self.surroundings = surroundings
        driver = MachineDriver(
            PortMappingStateMachine(
                client: client, internalPort: internalPort, nonce: random.bytes(PCP.nonceLength), preferred: preferred),
            clock: clock)
        driver.carryOut = { [weak self] in self?.carryOut($0) }
    }

    private var machine: PortMappingStateMachine { driver.machine }

    package var mapping: PortMapping? { machine.mapping }

    package func start() {
        socket.onDatagram = { [weak self] datagram in
            // RFC 6887 section 8.3, RFC 6886 section 3.1: only the gateway's own answers count.
            guard let self, datagram.remote.ip == gateway.ip, datagram.remote.port == gateway.port else { return }
            driver.handle { $0.handle(datagram.bytes, now: $1) }
        }
        announcements?.onDatagram = { [weak self] datagram in
            guard let self, datagram.remote.ip == gateway.ip else { return }
            driver.handle { $0.handle(datagram.bytes, now: $1) }
        }
        socket.onUnreachable = { [driver] _ in driver.handle { $0.handleUnreachable(now: $1) } }
        driver.handle { $0.start(now: $1) }
    }

    /// Whether the family's gateway, and the address towards it, are those that this mapper was made with.
    func isStillRight(_ family: IPAddress.Family) -> Bool {
        guard let (gateway, client) = surroundings.ends(family) else { return false }
        return gateway == self.gateway && client == self.client
    }

    /// Asks the same gateway anew at once.
    func networkChanged() { driver.handle { $0.handleNetworkChange(now: $1) } }

    /// Removes the mapping and returns when the gateway confirmed, or after ``removalLimit``.
    package func stop() async {
        driver.handle { $0.stop(now: $1) }
        if !machine.isStopped {
            let waiter = Waiter<Void>()
            stopped = waiter
            await traced(awaiting: "the gateway's word that the port is closed") {
                try await clock.withDeadline(Self.removalLimit) { try await waiter.value() }
            }
        }
        driver.stop()
        socket.close()
        announcements?.close()
    }

    private func carryOut(_ actions: [PortMappingStateMachine.Action]) {
        for action in actions {
            switch action {
            case .send(let bytes): socket.send(bytes, to: gateway)
            case .changed(let mapping): onChange?(mapping)
            case .addByUPnP(let externalPort, let internalPort, let lifetime):
                addByUPnP(externalPort: externalPort, internalPort: internalPort, lifetime: lifetime)
            case .removeByUPnP(let externalPort): removeByUPnP(externalPort: externalPort)
            }
        }
        if machine.isStopped { stopped?.resume(returning: ()) }
    }

    // MARK: UPnP, which blocks

    private func addByUPnP(externalPort: UInt16, internalPort: UInt16, lifetime: UInt32) {
        guard surroundings.usesUPnP, gateway.ip.family == .v4 else { return finishUPnP(.noGateway) }
        let (known, router) = (upnp, gateway.ip)
        networkTask { [self] in
            // It throws what the work does: nothing.
            let outcome = try? await offload { () -> (UPnPGateway?, PortMappingStateMachine.UPnPResult) in
                guard let found = known ?? UPnPGateway.discover() else { return (nil, .noGateway) }
                let result = found.add(externalPort: externalPort, internalPort: internalPort, lifetime: lifetime)
                // Which address is outside the router alone is believed: others are told of it.
                guard case .mapped(let port, _) = result, !found.isAt(router) else { return (found, result) }
                return (found, .mapped(externalPort: port, address: nil))
            }
            let (found, result) = outcome ?? (nil, .noGateway)
            if case .mapped(let port, _) = result {
                upnp = found
                // Stopped meanwhile: nobody else would remove it.
                if machine.isStopped { return removeByUPnP(externalPort: port) }
            } else {
                upnp = nil
            }
            finishUPnP(result)
        }
    }

    private func removeByUPnP(externalPort: UInt16) {
        guard let upnp else { return finishUPnP(.noGateway) }
        networkTask { [self] in
            // It throws what the work does: nothing.
            _ = try? await offload { upnp.remove(externalPort: externalPort) }
            finishUPnP(.noGateway)
        }
    }

    private func finishUPnP(_ result: PortMappingStateMachine.UPnPResult) {
        driver.handle { $0.handleUPnP(result, now: $1) }
    }
}
