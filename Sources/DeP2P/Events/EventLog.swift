internal import DeP2PApp
internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReach
internal import DeP2PReactor
internal import DeP2PSessions

/// A node's events as lines of a log: pure.
///
/// What others send is in none of them, file names and texts neither; reasons may be a peer's words.
enum EventLog {
    struct Line: Sendable {
        let level: TraceLevel
        let what: String
        var fields: [(name: String, value: String)] = []

        init(_ level: TraceLevel, _ what: String, _ fields: [(String, String?)] = []) {
            (self.level, self.what) = (level, what)
            self.fields = fields.compactMap { name, value in value.map { (name, $0) } }
        }
    }

    static func line(_ event: NodeEvent) -> Line {
        switch event {
        case .networkChanged: Line(.notable, "the network has changed")
        case .reachability(let state): Line(.notable, "reachability", [("state", state.rawValue)])
        case .portMapping(let family, let mapping): line(family, mapping)
        case .realmRelay(let isServing):
            Line(.notable, isServing ? "relaying for the realm" : "no longer relaying for the realm")
        case .storage(let notice):
            Line(
                .notable, "storage",
                [("state", notice.kind.rawValue), ("reason", notice.reason), ("path", notice.path)])
        case .peer(let presence): line(presence)
        case .session(let session, let change): line(session, change)
        case .connectFailed(let nodeID, let reason):
            Line(.notable, "connect failed", [("node", nodeID?.description), ("reason", reason)])
        case .relay(let event): line(event)
        case .relaying(let event): line(event)
        case .transfer(let transfer, let change): line(transfer, change)
        case .messageFailed(let from, let name, let reason):
            Line(.notable, "message failed", [("node", "\(from)"), ("protocol", name), ("reason", reason)])
        case .dropped(let count): Line(.notable, "events left out", [("count", "\(count)")])
        }
    }

    private static func line(_ family: IPAddress.Family, _ mapping: PortMapping?) -> Line {
        Line(
            .notable, mapping == nil ? "port closed" : "port opened",
            [
                ("family", family == .v4 ? "ipv4" : "ipv6"), ("protocol", mapping?.kind.rawValue),
                ("port", mapping.map { "\($0.externalPort)" }), ("address", mapping?.externalAddress?.description),
            ])
    }

    private static func line(_ presence: PeerPresence) -> Line {
        Line(
            .fine, "peer",
            [
                ("node", "\(presence.nodeID)"), ("state", presence.state.rawValue),
                ("path", presence.path?.description), ("reason", presence.reason?.rawValue),
                ("member", "\(presence.isMember)"),
            ])
    }

    private static func line(_ session: NodeEvent.SessionSubject, _ change: NodeEvent.SessionChange) -> Line {
        let (what, more): (String, [(String, String?)]) =
            switch change {
            case .opened(let path): ("connected", fields(path))
            case .admitted: ("admitted", [])
            case .moved(let path): ("moved", fields(path))
            case .ended(let end): ("disconnected", [("reason", "\(end)")])
            }
        return Line(.notable, what, [("node", "\(session.nodeID)"), ("connection", "\(session.id)")] + more)
    }

    private static func fields(_ path: ConnectionPath) -> [(String, String?)] {
        [("path", path.description), ("address", path.peerAddress?.description)]
    }

    private static func line(_ event: RelayEvent) -> Line {
        switch event {
        case .reserved(let standing):
            Line(.notable, "reserved", [("relay", "\(standing.relay)"), ("address", "\(standing.address)")])
        case .lost(let address): Line(.notable, "relay lost", [("address", "\(address)")])
        case .refused(let address, let reason, _):
            Line(.notable, "relay refused", [("address", "\(address)"), ("reason", reason)])
        case .circuitEnded(let relay, let end):
            Line(.notable, "circuit ended", [("relay", "\(relay)"), ("reason", "\(end)")])
        }
    }

    private static func line(_ event: RelayingEvent) -> Line {
        switch event {
        case .reserved(let node, let isRenewal):
            Line(isRenewal ? .fine : .notable, "place given", [("node", "\(node)"), ("renewal", "\(isRenewal)")])
        case .reservationEnded(let node): Line(.notable, "place free", [("node", "\(node)")])
        case .opened(let circuit, let from, let to):
            Line(.notable, "circuit opened", [("circuit", "\(circuit)"), ("from", "\(from)"), ("to", "\(to)")])
        case .closed(let circuit, let from, let to, let bytes, let reason):
            Line(
                .notable, "circuit closed",
                [
                    ("circuit", "\(circuit)"), ("from", "\(from)"), ("to", "\(to)"), ("bytes", "\(bytes)"),
                    ("reason", "\(reason)"),
                ])
        case .refused(let node, let error):
            Line(.notable, "place refused", [("node", "\(node)"), ("reason", "\(error)")])
        }
    }

    private static func line(_ transfer: NodeEvent.TransferSubject, _ change: NodeEvent.TransferChange) -> Line {
        let subject: [(String, String?)] = [
            ("node", "\(transfer.peer)"), ("transfer", "\(transfer.id)"),
            ("direction", transfer.direction == .incoming ? "incoming" : "outgoing"),
        ]
        switch change {
        case .event(.offered): return Line(.notable, "transfer offered", subject)
        case .event(.accepted): return Line(.notable, "transfer accepted", subject)
        case .event(.progress(let progress)):
            return Line(.fine, "transfer", subject + [("bytes", "\(progress.bytes)")])
        case .event(.stored): return Line(.fine, "file stored", subject)
        case .event(.failed): return Line(.notable, "file failed", subject)
        case .ended(.success(let summary)):
            return Line(
                .notable, "transfer ended",
                subject + [("files", "\(summary.files.count)"), ("bytes", "\(summary.bytes)")])
        case .ended(.failure(let error)):
            return Line(.notable, "transfer failed", subject + [("code", error.code.rawValue)])
        }
    }
}
