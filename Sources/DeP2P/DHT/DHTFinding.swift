internal import DeP2PDiscovery
public import DeP2PIdentity
internal import DeP2PReactor

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

    mutating func take(_ provider: DHTContact) {
        if let place = providers.firstIndex(where: { $0.nodeID == provider.nodeID }) {
            providers[place].addresses.merge(provider)
        } else if providers.count < Self.providerLimit {
            var new = Provider(nodeID: provider.nodeID, addresses: [])
            new.addresses.merge(provider)
            providers.append(new)
        }
    }

    @NetworkActor mutating func take(_ end: LookupMachine.Outcome, of lookup: DHTLookup) {
        asked.formUnion(lookup.asked)
        answering.formUnion(lookup.answered)
        closest = end.closest.prefix(DHT.replication).map(\.nodeID)
    }
}

extension [Address] {
    /// Each of the contact's once, with its NodeID, and no more in all than one contact may have.
    mutating func merge(_ contact: DHTContact) {
        let new = contact.addresses.map { $0.with(nodeID: contact.nodeID) }.filter { !contains($0) }
        self += new.prefix(Swift.max(DHTContact.addressLimit - count, 0))
    }
}
