internal import DeP2PApp
internal import DeP2PDiscovery
internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReach
internal import DeP2PReactor
internal import DeP2PSessions

extension Node {
    /// What a node's parts are made from, besides the node's own properties.
    struct Materials {
        let key: IdentityKey
        let listener: TCPListener?
        let alternate: AlternatePort
        let stun: STUNService
        let sequence: RecordSequence
        /// Where UDP is known to be blocked.
        let udp: UDPMemory
        let interfaces: InterfaceCache
        let environment: NodeEnvironment
    }

    /// Every capability of a node, in the order in which they start; they stop in the opposite one. A new capability is one
    /// more entry.
    func capabilities(_ configuration: NodeConfiguration, _ materials: Materials) -> [any NodePart] {
        var parts: [any NodePart] = [
            EventsPart(hub, of: self), EventLogPart(of: self),
            IntrospectionPart(of: self, configuration, in: materials.environment), InterfacesPart(materials.interfaces),
        ]
        if wantsPortMapping(configuration) { parts.append(PortMappingPart(of: self, in: materials.environment)) }
        parts += [
            StoragePart(
                storage, sequence: materials.sequence, udp: materials.udp, peers: connections.peers, clock: clock),
            SocketsPart(endpoint, alternate: materials.alternate, listener: materials.listener),
            SessionsPart(
                connections, bootstrap: (configuration.knownPeers + configuration.bootstrap).compactMap(\.nodeID),
                relays: ownRelays),
            AccessPart(of: self),
            StreamsPart(acceptors),
            TransferPart(),
            PubSubPart(of: self, configuration),
            LivenessPart(connections, livenessTimes(configuration), hub),
            IdentifyPart(identify(configuration, materials), of: self),
            PingPart(connections),
            DialBackPart(materials.alternate, connections: connections),
            RelayClientPart(relays, of: self, configuration),
        ]
        if let relayService { parts.append(RelayServicePart(relayService)) }
        if relaysForRealm(configuration) { parts.append(RealmRelayPart(of: self, configuration, materials.interfaces)) }
        // Who only goes out to others has no use for a way in.
        let wantsIn = usesDirect && (configuration.reserves || configuration.relay != nil)
        parts.append(ReachabilityPart(of: self, isUsed: wantsIn))
        // Without relays too: a direct path may become a better one, and a peer that has moved is followed.
        parts.append(HolePunchPart(holePunch(materials, configuration), own: own))
        parts += records(configuration, materials)
        if configuration.usesMDNS, usesDirect { parts.append(MDNSPart(of: self, configuration, materials.environment)) }
        parts.append(NetworkWatchPart(of: self, in: materials.environment))
        return parts + configuration.parts.map { $0(self) }
    }

    /// Public stores, and the realm's records in them.
    private func records(_ configuration: NodeConfiguration, _ materials: Materials) -> [any NodePart] {
        var (parts, stores): ([any NodePart], [any RecordStoring]) = ([], [])
        if configuration.usesDHT {
            let dht = DHTPart(of: self, configuration, materials.environment)
            parts.append(dht)
            stores.append(dht.dht)
        }
        if configuration.usesMainline {
            let part = MainlinePart(of: self, configuration, materials.environment)
            parts.append(part)
            stores.append(part.mainline)
        }
        guard !stores.isEmpty else { return parts }
        let store = RecordStores(stores)
        return parts + [RealmRecordsPart(of: self, in: store, publishes: configuration.reserves, materials)]
    }

    private func livenessTimes(_ configuration: NodeConfiguration) -> LivenessTimes {
        let quic = configuration.preset.quic
        return LivenessTimes(keepAlive: quic.keepAlive, idleTimeout: quic.idleTimeout)
    }

    private func relaysForRealm(_ configuration: NodeConfiguration) -> Bool {
        guard configuration.relay == nil else { return true }
        // Who only goes out to others is gone before anybody has heard of it.
        return usesDirect && configuration.reserves
            && configuration.relaysForRealm ?? configuration.preset.relaysForRealm
    }

    private func wantsPortMapping(_ configuration: NodeConfiguration) -> Bool {
        usesDirect && configuration.mapsPorts ?? (configuration.preset.mapsPorts && configuration.reserves)
    }

    private func identify(_ configuration: NodeConfiguration, _ materials: Materials) -> Identify {
        Identify(
            key: materials.key, agent: configuration.agent, connections: connections,
            addresses: { [weak own] in own.map { $0.direct + $0.relayed.compactMap(\.withoutNodeID) } ?? [] },
            sequence: { [sequence = materials.sequence] in await sequence.next() })
    }

    private func holePunch(_ materials: Materials, _ configuration: NodeConfiguration) -> HolePunch {
        let environment = materials.environment
        var surroundings = HolePunch.Surroundings(
            interfaces: { [weak endpoint, interfaces = materials.interfaces] in
                Listening.interfaces(endpoint?.localAddresses ?? [], of: interfaces.current)
            },
            observers: { [ownRelays] in ownRelays.compactMap(\.socketAddress) },
            relays: { [weak self] peer in self?.knownRelays(of: peer) ?? [] }, usesStraightPaths: usesDirect,
            usesRelays: configuration.usesRelays, hostMark: environment.host.secret)
        if usesDirect, configuration.preset.guessesPorts {
            surroundings.socketLimit = DescriptorLimit.current / 4
            surroundings.openSocket = { try environment.sockets.driver([SocketAddress(.v4Any, port: 0)]) }
        }
        surroundings.isWaitedFor = { [weak self] session in self?.isBusy(session) ?? false }
        surroundings.chosenRelays = { [weak self] peer in self?.chosenRelays(of: peer) ?? [] }
        return HolePunch(
            connections, endpoint: endpoint, stun: materials.stun, relays: relays, surroundings: surroundings)
    }
}
