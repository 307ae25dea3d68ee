internal import DeP2PDiscovery
internal import DeP2PIdentity
internal import DeP2PRealm
internal import DeP2PSessions

/// Lets members of the realm find this node wherever it is, by its NodeID or without, and finds them: records in public stores
/// that they alone can read.
@NetworkActor
final class RealmRecordsPart: NodePart {
    /// Addresses that a record may name; the longest are dropped until it fits.
    private static let straight = 8
    private static let relayed = 4

    let records: RealmRecords
    let announcements: Announcements
    private let publishes: Bool

    init(of node: Node, in store: any RecordStoring, publishes: Bool, _ materials: Node.Materials) {
        self.publishes = publishes
        let (key, sequence) = (materials.key, materials.sequence)
        let ownRecord: RealmRecords.OwnRecord = { [weak node] limit in
            let seq = await sequence.next()
            guard let node else { return nil }
            return Self.record(of: node, seq: seq, by: key, atMost: limit)
        }
        let wallClock = materials.environment.wallClock
        records = RealmRecords(
            store, of: node.realm, on: node.connections, wallClock: wallClock, ownRecord: ownRecord)
        announcements = Announcements(
            .members, in: store, of: node.realm, on: node.connections, wallClock: wallClock, ownRecord: ownRecord)
        node.connections.sources.append(records)
        node.connections.memberSources.append(announcements)
    }

    /// The node's signed record with as many of its addresses as there is room for, ways through relays among them.
    private static func record(
        of node: Node, seq: UInt64, by key: IdentityKey, atMost limit: Int
    ) -> (envelope: [UInt8], seq: UInt64)? {
        let rule = node.connections.addressRule()
        var straight = Array(node.own.direct.filter { rule.tells($0, to: .member) }.prefix(Self.straight))
        var relayed = Array(node.own.relayed.compactMap(\.withoutNodeID).prefix(Self.relayed))
        while !straight.isEmpty || !relayed.isEmpty {
            let record = traced("the realm's record") {
                try PeerRecord(nodeID: node.nodeID, seq: seq, addresses: straight + relayed).sealed(by: key)
            }
            guard let record else { return nil }
            if record.count <= limit { return (record, seq) }
            if straight.count > relayed.count { straight.removeLast() } else { relayed.removeLast() }
        }
        return nil
    }

    func start() {
        guard publishes else { return }
        records.publish()
        announcements.announce()
    }

    func networkChanged() { addressesChanged() }

    func addressesChanged() {
        records.addressesChanged()
        announcements.addressesChanged()
    }

    func willStop(within grace: Duration) {
        records.stop()
        announcements.stop()
    }
}
