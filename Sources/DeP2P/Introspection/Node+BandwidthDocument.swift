internal import DeP2PIdentity
internal import DeP2PQUIC

/// What a node has carried, as introspection shows it. Fields are added, never renamed.
extension Node {
    var bandwidthDocument: JSON {
        let bandwidth = bandwidth
        return .object([
            .init("v", .int(1)), .init("interval_seconds", .seconds(bandwidth.interval)),
            .init("total", .flow(bandwidth.total)),
            .init(
                "paths",
                .object(
                    PathClass.allCases.map { .init($0.rawValue, .flow(bandwidth.paths[$0] ?? Bandwidth.Flow())) })),
            .init(
                "protocols",
                .object(
                    bandwidth.protocols.sorted { $0.key < $1.key }.map { name, flow in
                        .init(name, .totals(flow.bytes.payload, perSecond: flow.perSecond?.payload))
                    })),
            .init(
                "peers",
                .array(
                    bandwidth.peers.map { ("\($0.key)", $0.value) }.sorted { $0.0 < $1.0 }.map { peer, flow in
                        .object([.init("node_id", .string(peer))] + JSON.fields(flow))
                    })),
            .init("forgotten_peers", .flow(bandwidth.forgottenPeers)),
        ])
    }
}

extension JSON {
    static func totals(_ totals: ByteTotals) -> JSON { .totals(totals, perSecond: nil, hasRate: false) }

    static func totals(_ totals: ByteTotals, perSecond: ByteTotals?) -> JSON {
        .totals(totals, perSecond: perSecond, hasRate: true)
    }

    private static func totals(_ totals: ByteTotals, perSecond: ByteTotals?, hasRate: Bool) -> JSON {
        let bytes: [Field] = [.init("sent", .number(totals.sent)), .init("received", .number(totals.received))]
        guard hasRate else { return .object(bytes) }
        return .object(
            bytes + [
                .init("sent_per_second", perSecond.map { .number($0.sent) } ?? .null),
                .init("received_per_second", perSecond.map { .number($0.received) } ?? .null),
            ])
    }

    static func fields(_ flow: Bandwidth.Flow) -> [Field] {
        [
            .init("payload", .totals(flow.bytes.payload, perSecond: flow.perSecond?.payload)),
            .init("wire", .totals(flow.bytes.wire, perSecond: flow.perSecond?.wire)),
        ]
    }

    static func flow(_ flow: Bandwidth.Flow) -> JSON { .object(fields(flow)) }
}
