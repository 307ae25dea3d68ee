internal import DeP2PDiscovery
public import DeP2PIdentity
internal import DeP2PReactor
internal import DeP2PRealm

extension Node {
    /// Looks up a node in a DHT, and goes on until those nearest to it have answered: for who wants to know how it is found.
    /// To reach a node, connect to it.
    ///
    /// A node in a realm asks dep2p's DHT for the record that a member leaves there for its realm first, which says nothing of
    /// who is looked for; for the NodeID only where there is none.
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
        let (dht, end) = (dht(protocolID, bootstrap), timeout.map(clock.now.advanced(by:)))
        var finding = DHTFinding()
        // Others' networks have no realms.
        let slots = dht.protocolID == DHTNode.id ? realmRecordsPart?.records.slots(of: nodeID) ?? [] : []
        for slot in slots where finding.addresses.isEmpty {
            finding = await look(into: slot, in: dht, until: end, onQuery, after: finding)
        }
        guard finding.addresses.isEmpty else { return finding }
        let lookup = DHTLookup(dht, .findNode(key: nodeID.bytes), sparing: nodeID)
        lookup.onFound = { contact in
            if finding.addresses.isEmpty { finding.hops = lookup.rounds(to: nodeID) }
            finding.addresses.merge(contact)
        }
        let outcome = await explain(lookup, end, onQuery)
        finding.take(outcome, of: lookup)
        return finding
    }

    /// Looks up the record of a member of the realm: of several the newest.
    private func look(
        into slot: RealmSlot, in dht: DHTNode, until end: NetworkInstant?,
        _ onQuery: @escaping @NetworkActor @Sendable (DHTQuery) -> Void, after before: DHTFinding
    ) async -> DHTFinding {
        let lookup = DHTLookup(dht, .getItem(key: slot.key), scope: .record(reach: dht.size.reach))
        var (finding, newest) = (before, UInt64(0))
        lookup.onHolder = { contact, response in
            // An older one may be a replay.
            guard let record = response.item.flatMap({ slot.record(in: $0) }), record.seq > newest else { return }
            newest = record.seq
            (finding.addresses, finding.isRealmRecord) = ([], true)
            finding.addresses.merge(DHTContact(record.nodeID, addresses: record.addresses))
            finding.hops = lookup.rounds(to: contact.nodeID) + 1
        }
        let outcome = await explain(lookup, end, onQuery)
        finding.take(outcome, of: lookup)
        return finding
    }

    /// Looks up who provides what a CID stands for, as ``findInDHT(_:from:protocolID:timeout:onQuery:)`` looks up a node.
    public func findProvidersInDHT(
        _ cid: CID, from bootstrap: [Address] = [], protocolID: String? = nil, timeout: Duration? = nil,
        onQuery: @escaping @NetworkActor @Sendable (DHTQuery) -> Void = { _ in }
    ) async -> DHTFinding {
        let dht = dht(protocolID, bootstrap)
        let lookup = DHTLookup(dht, .getProviders(key: cid.multihash), scope: .record(reach: dht.size.reach))
        var finding = DHTFinding()
        lookup.onHolder = { contact, response in
            if finding.providers.isEmpty { finding.hops = lookup.rounds(to: contact.nodeID) + 1 }
            for provider in response.providers { finding.take(provider) }
        }
        let outcome = await explain(lookup, timeout.map(clock.now.advanced(by:)), onQuery)
        finding.take(outcome, of: lookup)
        return finding
    }

    /// Looks up a record (BEP 44's mutable item) in dep2p's DHT, as above; of several the newest that is signed.
    ///
    /// - Parameter key: its public key, 32 bytes, and its salt, up to 64.
    public func findRecordInDHT(
        _ key: [UInt8], from bootstrap: [Address] = [], timeout: Duration? = nil,
        onQuery: @escaping @NetworkActor @Sendable (DHTQuery) -> Void = { _ in }
    ) async -> DHTFinding {
        let dht = dht(nil, bootstrap)
        let lookup = DHTLookup(dht, .getItem(key: key), scope: .record(reach: dht.size.reach))
        var finding = DHTFinding()
        lookup.onHolder = { contact, response in
            guard let item = response.item, finding.record.map({ item.seq > $0.seq }) ?? true, item.isSigned
            else { return }
            if finding.record == nil { finding.hops = lookup.rounds(to: contact.nodeID) + 1 }
            finding.record = DHTFinding.Record(seq: item.seq, value: item.value)
        }
        let outcome = await explain(lookup, timeout.map(clock.now.advanced(by:)), onQuery)
        finding.take(outcome, of: lookup)
        return finding
    }

    /// Says in the DHT, and every hour again, that this node provides what a CID stands for.
    ///
    /// - Returns: with how many nodes that stands, once most have been told.
    package func provideInDHT(_ cid: CID) async -> Int { await dhtPart?.dht.provide(cid.multihash) ?? 0 }

    private func explain(
        _ lookup: DHTLookup, _ end: NetworkInstant?,
        _ onQuery: @escaping @NetworkActor @Sendable (DHTQuery) -> Void
    ) async -> LookupMachine.Outcome {
        lookup.onQuery = { onQuery(DHTQuery($0)) }
        let token = end.map { clock.schedule(at: $0) { lookup.stop() } }
        defer { token.map(clock.cancel) }
        return await lookup.run()
    }

    /// The node's own, or one that is only visited.
    private func dht(_ protocolID: String?, _ bootstrap: [Address]) -> DHTNode {
        if protocolID ?? DHTNode.id == DHTNode.id, let own = dhtPart?.dht { return own }
        return DHTNode(connections, protocolID: protocolID ?? DHTNode.id, bootstrap: bootstrap, memory: nil)
    }
}
