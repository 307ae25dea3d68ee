internal import DeP2PDiscovery
public import DeP2PIdentity
internal import DeP2PReactor

/// One node that was asked in the course of a lookup in the DHT, and what came of it.
public struct DHTQuery: Sendable {
    public enum Outcome: Sendable {
        /// It named so many nodes.
        case answered(Int)
        case failed(DeP2PError)
    }

    public let nodeID: NodeID
    /// How far it is from what is looked for: 64 hexadecimal digits.
    public let distance: String
    /// From the first step towards it on, its connection included.
    public let elapsed: Duration
    public let outcome: Outcome
}

/// What a lookup in the DHT has found.
public struct DHTFinding: Sendable {
    /// Where the node is that was looked for, as those say who are, or were a short while ago, connected to it.
    public internal(set) var addresses: [Address] = []
    /// Answers that lay one behind the other until it was found; 0 where it was not.
    public internal(set) var hops = 0
    /// Nodes that were asked, and those of them that have answered.
    public internal(set) var queried = 0
    public internal(set) var answered = 0
    /// Those that have answered, the nearest first.
    public internal(set) var closest: [NodeID] = []
}

extension Node {
    /// Looks up a node in a DHT, and goes on until those nearest to it have answered: for who wants to know how it is found.
    /// To reach a node, connect to it.
    ///
    /// - Parameters:
    ///   - bootstrap: where to begin, beside what the node knows itself: multiaddrs that end in `/p2p/ID`.
    ///   - protocolID: whose DHT: `nil` for dep2p's, `/ipfs/kad/1.0.0` for a network of libp2p's.
    ///   - timeout: after which what was found by then is what there is; a lookup by itself ends within 30 s.
    ///   - onQuery: told of each node that was asked, as it is done.
    public func findInDHT(
        _ nodeID: NodeID, from bootstrap: [Address] = [], protocolID: String? = nil, timeout: Duration? = nil,
        onQuery: @escaping @NetworkActor @Sendable (DHTQuery) -> Void = { _ in }
    ) async -> DHTFinding {
        let dht = dht(protocolID, bootstrap)
        var finding = DHTFinding()
        let lookup = DHTLookup(dht, .findNode(key: nodeID.bytes), sparing: nodeID)
        lookup.onQuery = { onQuery(DHTQuery($0)) }
        lookup.onFound = { contact in
            if finding.addresses.isEmpty { finding.hops = lookup.rounds(to: nodeID) }
            let new = contact.addresses.map { $0.with(nodeID: nodeID) }.filter { !finding.addresses.contains($0) }
            finding.addresses += new.prefix(
                DHTContact.addressLimit - min(finding.addresses.count, DHTContact.addressLimit))
        }
        let token = timeout.map { clock.schedule(after: $0) { lookup.stop() } }
        defer { token.map(clock.cancel) }
        let outcome = await lookup.run()
        finding.queried = lookup.asked.count
        finding.answered = lookup.answered.count
        finding.closest = outcome.closest.prefix(DHT.replication).map(\.nodeID)
        return finding
    }

    /// The node's own, or one that is only visited.
    private func dht(_ protocolID: String?, _ bootstrap: [Address]) -> DHTNode {
        if protocolID ?? DHTNode.id == DHTNode.id, let own = dhtPart?.dht { return own }
        return DHTNode(connections, protocolID: protocolID ?? DHTNode.id, bootstrap: bootstrap, memory: nil)
    }
}

extension DHTQuery {
    fileprivate init(_ query: DHTLookup.Query) {
        nodeID = query.contact.nodeID
        distance = query.distance.description
        elapsed = query.elapsed
        outcome =
            switch query.outcome {
            case .answered(let count): .answered(count)
            case .failed(let error): .failed(DeP2PError(error))
            }
    }
}
