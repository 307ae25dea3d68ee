internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor
internal import DeP2PSessions

/// Several ways to one relay: learned from it, and chosen anew when UDP works again.
extension RelayClient {
    /// How long UDP may take to answer when it is looked at again.
    static let udpProbeDeadline = Duration.seconds(3)
    /// Between two looks at the least.
    static let shortestUDPWatch = Duration.seconds(1)
    /// Ports for TCP that are taken from what a relay says of itself.
    nonisolated static let learnedPorts = 2

    /// Asks a relay where it listens over TCP, for the day when UDP is blocked, and over UDP, where TCP alone was named.
    func learnWays(from session: Session, _ index: Int) {
        networkTask { [weak self] in
            guard let information = await traced(awaiting: "who a relay is", { try await Identify.ask(session) }),
                let self
            else { return }
            let listed = information.record?.addresses ?? information.listenAddresses
            observerPorts[session.id] = session.isOpen ? Self.ports(listed, isTCP: false) : nil
            let known = self.ways(of: index)
            let ways = Self.tcpWays(listed: listed, known: known) + Self.udpWays(listed: listed, known: known)
            for way in ways { add(way: way, to: index, as: .derived) }
            if !ways.isEmpty { onAddressChange?() }
            watchUDP()
        }
    }

    /// Asks a relay that is reached over TCP where it listens over UDP: it answers STUN there, without which nobody could
    /// leave it for a straight path.
    func learnObserver(from session: Session) {
        guard session.path.tcpPeer != nil else { return }
        networkTask { [weak self] in
            guard let information = await traced(awaiting: "who a relay is", { try await Identify.ask(session) }),
                let self, session.isOpen
            else { return }
            observerPorts[session.id] = Self.ports(
                information.record?.addresses ?? information.listenAddresses, isTCP: false)
        }
    }

    /// Where the relay of that session answers STUN: over TCP it is at the host that it is reached at, at those ports.
    func observers(_ session: UInt64, _ path: ConnectionPath) -> [SocketAddress] {
        guard let peer = path.tcpPeer else { return [path.peerAddress].compactMap(\.self) }
        return (observerPorts[session] ?? []).map { SocketAddress(peer.ip, port: $0, scope: peer.scope) }
    }

    private nonisolated static func ports(_ listed: [Address], isTCP: Bool) -> [UInt16] {
        var ports: [UInt16] = []
        for address in listed where !address.isRelayed && address.isOverTCP == isTCP {
            let port: UInt16 =
                switch address.transport {
                case .quic(let port), .tcpTLS(let port): port
                case nil: 0
                }
            if port != 0, !ports.contains(port), ports.count < learnedPorts { ports.append(port) }
        }
        return ports
    }

    /// The ways over TCP that follow from what a relay lists: the hosts at which it is known to be reached, at the ports
    /// that it listens on. Its own addresses may mean nothing here, as those of a cloud's inner network.
    nonisolated static func tcpWays(listed: [Address], known: [Address]) -> [Address] {
        ways(known, isTCP: true) { relay in
            ports(listed, isTCP: true).map { [.tcp($0), .tls, .p2p(relay)] }
        }
    }

    /// The same over UDP, for a relay whose address for TCP alone was named.
    nonisolated static func udpWays(listed: [Address], known: [Address]) -> [Address] {
        ways(known, isTCP: false) { relay in
            ports(listed, isTCP: false).map { [.udp($0), .quicV1, .p2p(relay)] }
        }
    }

    private nonisolated static func ways(
        _ known: [Address], isTCP: Bool, _ ends: (NodeID) -> [[Address.Component]]
    ) -> [Address] {
        var ways: [Address] = []
        for address in known where address.isOverTCP != isTCP {
            guard let relay = address.nodeID else { continue }
            // The zone stands before the host, the transport behind it.
            let host = address.components.prefix(address.zone == nil ? 1 : 2)
            for end in ends(relay) {
                // What is no address is no way.
                let way = try? Address(components: host + end)
                if let way, !known.contains(way), !ways.contains(way) { ways.append(way) }
            }
        }
        return ways
    }

    /// Looks after UDP as long as a reservation is held over TCP.
    func watchUDP() {
        guard udpWatch == nil, !candidatesForUDP.isEmpty else { return }
        udpWatch = networkTask { [weak self] in
            while let wait = await self?.timeToUDPProbe(), !Task.isCancelled {
                // Cancelled: no relay is reached over TCP any more.
                guard let clock = self?.clock, (try? await clock.sleep(for: wait)) != nil else { break }
                await self?.probeUDP()
            }
            self?.udpWatch = nil
        }
    }

    /// Relays whose reservation is held over TCP though they have an address for UDP.
    private var candidatesForUDP: [Int] {
        machine.standing.filter { relays[$0].isOverTCP && ways(of: $0).contains { !$0.isOverTCP } }
    }

    private func timeToUDPProbe() async -> Duration? {
        guard !candidatesForUDP.isEmpty else { return nil }
        return max(await dialer.udp.timeToProbe() ?? .zero, Self.shortestUDPWatch)
    }

    /// Dials one relay over UDP; when it answers, the reservations move over to UDP.
    private func probeUDP() async {
        var works: Bool?
        for index in candidatesForUDP where works != false {
            let target = DialTarget(addresses: ways(of: index).filter { !$0.isOverTCP })
            do {
                _ = try await connections.connectAnew(to: target, timeout: Self.udpProbeDeadline)
                works = true
                renew(index)
            } catch {
                works = works ?? false
            }
        }
        if let works { dialer.udp.note(works: works) }
    }
}
