internal import DeP2PIdentity
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

    /// Asks a relay where it listens over TCP, for the day when UDP is blocked.
    func learnWays(from session: Session, _ index: Int) {
        networkTask { [weak self] in
            guard let information = await traced(awaiting: "who a relay is", { try await Identify.ask(session) }),
                let self
            else { return }
            let listed = information.record?.addresses ?? information.listenAddresses
            let ways = Self.tcpWays(listed: listed, known: self.ways(of: index))
            for way in ways { add(way: way, to: index, as: .derived) }
            if !ways.isEmpty { onAddressChange?() }
        }
    }

    /// The ways over TCP that follow from what a relay lists: the hosts at which it is known to be reached, at the ports
    /// that it listens on. Its own addresses may mean nothing here, as those of a cloud's inner network.
    nonisolated static func tcpWays(listed: [Address], known: [Address]) -> [Address] {
        var ports: [UInt16] = []
        for case .tcpTLS(let port)? in listed.lazy.filter({ !$0.isRelayed }).map(\.transport)
        where port != 0 && !ports.contains(port) && ports.count < learnedPorts { ports.append(port) }
        var ways: [Address] = []
        for address in known where !address.isOverTCP {
            guard let relay = address.nodeID else { continue }
            for port in ports {
                // The zone stands before the host, the transport behind it.
                let host = address.components.prefix(address.zone == nil ? 1 : 2)
                // What is no address is no way.
                let way = try? Address(components: host + [.tcp(port), .tls, .p2p(relay)])
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
