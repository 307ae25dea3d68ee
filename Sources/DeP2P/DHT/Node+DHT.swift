internal import DeP2PDiscovery
public import DeP2PIdentity
internal import DeP2PReactor
internal import DeP2PRealm

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
    /// Whether it had what was looked for.
    public let holds: Bool
}

/// What a lookup in the DHT has found.
public struct DHTFinding: Sendable {
    /// A record that somebody has signed.
    public struct Record: Hashable, Sendable {
        /// It grows with each that replaces another.
        public let seq: Int64
        /// Bencoded; at most 1,000 bytes.
        public let value: [UInt8]
    }

    /// A node that provides some content.
    public struct Provider: Hashable, Sendable {
        public let nodeID: NodeID
        public internal(set) var addresses: [Address]
    }

    /// Providers that are kept of all answers.
    static let providerLimit = 256

    /// Where the node is that was looked for, as those say who are, or were a short while ago, connected to it.
    public internal(set) var addresses: [Address] = []
    /// Whether the node itself says so, in the record that it leaves to its realm.
    public internal(set) var isRealmRecord = false
    /// The record that was looked for.
    public internal(set) var record: Record?
    /// Those that provide what was looked for.
    public internal(set) var providers: [Provider] = []
    /// Answers that lay one behind the other until it was found; 0 where it was not.
    public internal(set) var hops = 0
    /// Nodes that were asked, and those of them that have answered.
    public var queried: Int { asked.count }
    public var answered: Int { answering.count }
    /// Those that have answered, the nearest first.
    public internal(set) var closest: [NodeID] = []
    private var asked: Set<NodeID> = []
    private var answering: Set<NodeID> = []

    fileprivate mutating func take(_ provider: DHTContact) {
        if let place = providers.firstIndex(where: { $0.nodeID == provider.nodeID }) {
            providers[place].addresses.merge(provider)
        } else if providers.count < Self.providerLimit {
            var new = Provider(nodeID: provider.nodeID, addresses: [])
            new.addresses.merge(provider)
            providers.append(new)
        }
    }

    @NetworkActor fileprivate mutating func take(_ end: LookupMachine.Outcome, of lookup: DHTLookup) {
        asked.formUnion(lookup.asked)
        answering.formUnion(lookup.answered)
        closest = end.closest.prefix(DHT.replication).map(\.nodeID)
    }
}

extension [Address] {
    /// Each of the contact's once, with its NodeID, and no more in all than one contact may have.
    fileprivate mutating func merge(_ contact: DHTContact) {
        let new = contact.addresses.map { $0.with(nodeID: contact.nodeID) }.filter { !contains($0) }
        self += new.prefix(Swift.max(DHTContact.addressLimit - count, 0))
    }
}

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

extension DHTQuery {
    fileprivate init(_ query: DHTLookup.Query) {
        nodeID = query.contact.nodeID
        distance = query.distance.description
        elapsed = query.elapsed
        holds = query.holds
        outcome =
            switch query.outcome {
            case .answered(let count): .answered(count)
            case .failed(let error): .failed(DeP2PError(error))
            }
    }
}
