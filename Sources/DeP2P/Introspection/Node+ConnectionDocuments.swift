internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReach
internal import DeP2PReactor
internal import DeP2PSessions

/// With whom a node is connected, as introspection shows it. Fields are added, never renamed.
extension Node {
    /// Connections that are listed; of more only the number is told.
    nonisolated static let listedConnections = 1_000

    var connectionsDocument: JSON {
        let presence = Dictionary(peers.map { ($0.nodeID, $0) }, uniquingKeysWith: { first, _ in first })
        let sessions = connections.sessions
        return .object([
            .init("v", .int(1)), .init("count", .number(sessions.count)),
            .init("left_out", .number(max(0, sessions.count - Self.listedConnections))),
            .init(
                "connections",
                .array(sessions.prefix(Self.listedConnections).map { document($0, presence[$0.remoteNodeID]) })),
        ])
    }

    private func document(_ session: Session, _ presence: PeerPresence?) -> JSON {
        let connection = session.connection
        connection.settleStreams()
        let traffic = connection.traffic
        let path = session.path
        return .object([
            .init("id", .number(session.id)), .init("node_id", .string("\(session.remoteNodeID)")),
            .init("outgoing", .bool(session.isInitiator)), .init("member", .bool(session.isAdmitted)),
            .init("path", .string(PathClass(path.kind).rawValue)), .init("relay", .text(Self.relay(path.kind))),
            .init("address", .text(path.peerAddress?.description)),
            .init("state", .text(presence?.state.rawValue)), .init("reason", .text(presence?.reason?.rawValue)),
            .init("open_seconds", .seconds(clock.now.duration(since: session.openedAt))),
            .init("rtt_ms", .milliseconds(session.roundTripTime)), .init("streams", .number(session.openStreamCount)),
            .init("payload", .totals(traffic.total.payload)), .init("wire", .totals(traffic.total.wire)),
            .init("relayed", .totals(traffic[.relay].wire)),
            .init("relayed_before_direct", connection.relayedBeforeStraight.map(JSON.totals) ?? .null),
        ])
    }

    private nonisolated static func relay(_ kind: ConnectionPath.Kind) -> String? {
        if case .relay(let relay) = kind { "\(relay)" } else { nil }
    }

    var realmDocument: JSON {
        let members = peers.filter(\.isMember)
        return .object([
            .init("v", .int(1)), .init("realm_id", .text(realmID?.description)),
            .init("members", .array(members.map(Self.document))),
        ])
    }

    private nonisolated static func document(_ presence: PeerPresence) -> JSON {
        .object([
            .init("node_id", .string("\(presence.nodeID)")), .init("state", .string(presence.state.rawValue)),
            .init("path", .text(presence.path.map { PathClass($0).rawValue })),
            .init("reason", .text(presence.reason?.rawValue)),
        ])
    }

    var relayDocument: JSON {
        .object([
            .init("v", .int(1)), .init("configured", .texts(ownRelays.map(\.description))),
            .init("of_realm", .texts(relays.realmRelays.map(\.description))),
            .init("serves_realm", .bool(isRealmRelay)),
            .init(
                "reservations",
                .array(
                    relayReservations.map {
                        .object([
                            .init("relay", .string("\($0.relay)")),
                            .init("addresses", .texts($0.addresses.map(\.description))),
                        ])
                    })),
            .init("service", relayStatistics.map(Self.document) ?? .null),
        ])
    }

    private nonisolated static func document(_ statistics: RelayStatistics) -> JSON {
        .object([
            .init("reservations", .number(statistics.reservations)), .init("circuits", .number(statistics.circuits)),
            .init("opened_circuits", .number(statistics.openedCircuits)),
            .init("refusals", .number(statistics.refusals)),
            .init("forwarded_bytes", .number(statistics.forwardedBytes)),
            .init("stray_datagrams", .number(statistics.strayDatagrams)),
        ])
    }
}
