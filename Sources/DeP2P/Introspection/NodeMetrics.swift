internal import DeP2PDiscovery
internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReach
internal import DeP2PReactor
internal import DeP2PSessions

/// A node's numbers for Prometheus, taken on the network thread and written elsewhere. Labels are `path`, `family` and
/// `protocol`; NodeIDs are none, unless they are asked for: they make a series of each peer that there ever was.
struct NodeMetrics: Sendable {
    private let version: String
    private let startSeconds: UInt64
    private let isReachable: Bool?
    private let isStorageKept: Bool
    private let members: Int
    private let failures: UInt64
    private let reservations: Int
    private let service: RelayStatistics?
    private let known: Int?
    private let records: Int?
    private let topics: Int
    private var open: [ConnectionTraffic.Lane: Int] = [:]
    private let bandwidth: Bandwidth
    private let namesPeers: Bool

    @NetworkActor
    init(_ node: Node, _ part: IntrospectionPart, namesPeers: Bool) {
        version = part.agent
        startSeconds = part.startTime / 1_000
        isReachable =
            switch node.reachability {
            case .reachable: true
            case .unreachable: false
            case .unknown: nil
            }
        isStorageKept = node.isStorageKept
        members = node.peers.lazy.filter(\.isMember).count
        failures = part.failures.count
        (reservations, service) = (node.relayReservations.count, node.relayStatistics)
        (known, records) = (node.dhtPart?.dht.knownCount, node.dhtPart?.service.recordCount)
        topics = node.pubsub.subscriptions.count
        bandwidth = Bandwidth(node.connections.bandwidth)
        self.namesPeers = namesPeers
        for session in node.connections.sessions { open[session.connection.lane, default: 0] += 1 }
    }

    var text: String {
        var text = MetricsText()
        addNode(to: &text)
        addConnections(to: &text)
        addTraffic(to: &text)
        addRelay(to: &text)
        addDiscovery(to: &text)
        if namesPeers { addPeers(to: &text) }
        return text.text
    }

    private func addNode(to text: inout MetricsText) {
        text.add("dep2p_build_info", .gauge, "The program that runs.", [.init(1, [("version", version)])])
        text.add(
            "dep2p_start_time_seconds", .gauge, "When the node started, in seconds since 1970.", [.init(startSeconds)])
        text.add(
            "dep2p_reachable", .gauge,
            "Whether others reach the node straight from outside; NaN while that is not known.",
            [.init(isReachable)])
        text.add(
            "dep2p_storage_kept", .gauge, "Whether what the node remembers outlives this run.", [.init(isStorageKept)])
        text.add(
            "dep2p_failures_total", .counter,
            "Connects, connections, transfers, messages and reservations that failed.",
            [.init(failures)])
    }

    private func addConnections(to text: inout MetricsText) {
        text.add(
            "dep2p_connections", .gauge, "Open connections.",
            ConnectionTraffic.Lane.all.map { .init(open[$0] ?? 0, Self.labels($0.path, $0.family)) })
        text.add("dep2p_members", .gauge, "Members of the realm that are online or unstable.", [.init(members)])
    }

    private static let directions: [(name: String, of: @Sendable (ByteTotals) -> UInt64)] = [
        ("sent", { $0.sent }), ("received", { $0.received }),
    ]

    private func addTraffic(to text: inout MetricsText) {
        for direction in Self.directions {
            text.add(
                "dep2p_wire_\(direction.name)_bytes_total", .counter,
                "Bytes of QUIC datagrams \(direction.name), headers and repetitions included.",
                ConnectionTraffic.Lane.all.map { lane in
                    let bytes = bandwidth.lanes[.init(path: lane.path, family: lane.family)] ?? .zero
                    return .init(direction.of(bytes), Self.labels(lane.path, lane.family))
                })
            text.add(
                "dep2p_payload_\(direction.name)_bytes_total", .counter,
                "Bytes of streams \(direction.name), each once.",
                bandwidth.protocolPaths.sorted { $0.key < $1.key }.flatMap { name, paths in
                    PathClass.allCases.compactMap { path in
                        paths[path].map {
                            .init(direction.of($0), [("protocol", name), ("path", path.rawValue)])
                        }
                    }
                })
        }
    }

    private func addRelay(to text: inout MetricsText) {
        text.add(
            "dep2p_relay_reservations", .gauge, "Relays that hold a place for this node.", [.init(reservations)])
        guard let service else { return }
        text.add(
            "dep2p_relay_service_reservations", .gauge, "Nodes that this relay holds a place for.",
            [.init(service.reservations)])
        text.add("dep2p_relay_service_circuits", .gauge, "Circuits that this relay carries.", [.init(service.circuits)])
        text.add(
            "dep2p_relay_service_forwarded_bytes_total", .counter, "Bytes of frames that this relay passed on.",
            [.init(service.forwardedBytes)])
        text.add(
            "dep2p_relay_service_refusals_total", .counter, "Requests that this relay refused.",
            [.init(service.refusals)])
    }

    private func addDiscovery(to text: inout MetricsText) {
        if let known, let records {
            text.add("dep2p_dht_known_nodes", .gauge, "Nodes in the routing table of the DHT.", [.init(known)])
            text.add("dep2p_dht_records", .gauge, "Records kept for others.", [.init(records)])
        }
        text.add("dep2p_pubsub_topics", .gauge, "Topics that this node is subscribed to.", [.init(topics)])
    }

    private func addPeers(to text: inout MetricsText) {
        let peers = bandwidth.peers.map { ("\($0.key)", $0.value.bytes) }.sorted { $0.0 < $1.0 }
        for direction in Self.directions {
            text.add(
                "dep2p_peer_wire_\(direction.name)_bytes_total", .counter,
                "Bytes of QUIC datagrams \(direction.name), by peer.",
                peers.map { .init(direction.of($0.1.wire), [("peer", $0.0)]) })
            text.add(
                "dep2p_peer_payload_\(direction.name)_bytes_total", .counter,
                "Bytes of streams \(direction.name), by peer.",
                peers.map { .init(direction.of($0.1.payload), [("peer", $0.0)]) })
        }
    }

    private static func labels(_ path: PathClass, _ family: IPAddress.Family) -> [(name: String, value: String)] {
        [("path", path.rawValue), ("family", family == .v4 ? "ipv4" : "ipv6")]
    }
}
