package import DeP2PIdentity
package import DeP2PReactor
package import DeP2PSessions

/// A node's part in a DHT as one who asks: whom it knows there, and how it asks them. ``DHTService`` answers others.
///
/// Calling order: make it; ``keepUp()`` where the node stays, so that it knows others and is known before anybody is looked
/// for; ``networkChanged()`` and ``addressesChanged()`` when they have; lookups at any time (``DHTLookup``); ``stop()``.
/// Without ``keepUp()`` nothing is sent but for lookups.
@NetworkActor
package final class DHTNode {
    package nonisolated static let id = "/dep2p/sys/dht/1.0.0"
    /// How long one node may take, its connection included. A dead one costs this once, beside all others.
    package nonisolated static let requestTimeout = Duration.seconds(3)
    /// Addresses of a node that are dialled because another named them: more is what somebody has sent to others through here.
    nonisolated static let namedAddresses = 3
    /// Addresses kept of a node of the table, where it answered first.
    nonisolated static let contactAddresses = 8
    /// Bootstrap nodes; those beyond are not looked at.
    package nonisolated static let bootstrapLimit = 64

    package let connections: Connections
    package let protocolID: String
    /// Those that the user, or the application, named: nobody's word is needed for their addresses.
    package let bootstrap: [DHTContact]
    let table: MachineDriver<RoutingTable>
    package internal(set) var size = NetworkSize() {
        didSet { republishing.note { [size] machine, _ in machine.setRegionBits(size.regionBits) } }
    }
    private let joining: MachineDriver<JoinMachine>
    /// What this node has stored is stored again.
    let republishing: MachineDriver<RepublishMachine>
    /// By its place.
    var kept: [DHTKey: DHTRecord] = [:]
    /// Where this node is, for who is told that it provides something.
    package var ownAddresses: @NetworkActor () -> [Address] = { [] }
    private let memory: DHTMemory?
    private var isKeptUp = false
    /// Whether strangers are to find this node by its NodeID; otherwise it asks for the place where that lies.
    private var isShown = true
    private var isStopped = false

    /// - Parameters:
    ///   - bootstrap: multiaddrs that end in `/p2p/ID`.
    ///   - memory: where the most useful nodes of a run are kept for the next; `nil` for a DHT that is only visited.
    package init(
        _ connections: Connections, protocolID: String = DHTNode.id, bootstrap: [Address], memory: DHTMemory?
    ) {
        self.connections = connections
        self.protocolID = protocolID
        self.bootstrap = Self.contacts(bootstrap, besides: connections.localNodeID)
        self.memory = memory
        table = MachineDriver(RoutingTable(localKey: DHTKey(connections.localNodeID)), clock: connections.clock)
        joining = MachineDriver(JoinMachine(), clock: connections.clock)
        republishing = MachineDriver(RepublishMachine(), clock: connections.clock)
        table.carryOut = { [weak self] in self?.carryOut($0) }
        joining.carryOut = { [weak self] actions in
            for _ in actions { self?.join() }
        }
        republishing.carryOut = { [weak self] in self?.republish($0) }
    }

    private static func contacts(_ addresses: [Address], besides own: NodeID) -> [DHTContact] {
        var order: [NodeID] = []
        var all: [NodeID: [Address]] = [:]
        for address in addresses {
            guard let nodeID = address.nodeID, nodeID != own, let place = address.withoutNodeID else { continue }
            if all[nodeID] == nil { order.append(nodeID) }
            all[nodeID, default: []].append(place)
        }
        return order.prefix(bootstrapLimit).map { DHTContact($0, addresses: all[$0] ?? []) }
    }

    var clock: any NetworkClock { connections.clock }

    /// Nodes in the table.
    package var knownCount: Int { table.machine.count }
    /// The same by the bits that their keys begin with as this node's does.
    package var bucketCounts: [Int] { table.machine.bucketCounts }

    // MARK: Being there

    /// Whether the nodes near to this one are to tell others where it is.
    package func show(_ isShown: Bool) {
        guard isShown != self.isShown else { return }
        self.isShown = isShown
        if isKeptUp { joining.handle { $0.changed(now: $1) } }
    }

    /// What is asked to know this node's surroundings.
    private var ownRequest: DHTRequest {
        isShown
            ? .findNode(key: connections.localNodeID.bytes) : .findPlace(table.machine.localKey)
    }

    /// Joins the DHT, and keeps the table in order from then on.
    package func keepUp() {
        guard !isKeptUp, !isStopped else { return }
        isKeptUp = true
        connections.onIdentified { [weak self] session in self?.identified(session) }
        joining.handle { $0.begin(now: $1) }
    }

    /// Nothing that was reached need be reachable any more.
    package func networkChanged() {
        if isKeptUp { joining.handle { $0.changed(now: $1) } }
    }

    /// Those who tell others where this node is have to hear of it.
    package func addressesChanged() {
        if isKeptUp { joining.handle { $0.changed(now: $1) } }
    }

    package func stop() async {
        guard !isStopped else { return }
        isStopped = true
        table.stop()
        joining.stop()
        republishing.stop()
        kept = [:]
        await remember()
    }

    /// Looks for this node itself: it gets to know its surroundings, and they get to know it.
    private func join() {
        networkTask { [weak self] in
            guard let self else { return }
            let outcome = await DHTLookup(self, ownRequest).run()
            joining.handle { $0.ended(hasFoundAnybody: !outcome.closest.isEmpty, now: $1) }
            await remember()
        }
    }

    /// A node that says that it serves the DHT is a candidate for the table.
    private func identified(_ session: Session) {
        let nodeID = session.remoteNodeID
        guard connections.peers.book.peer(nodeID)?.protocols.contains(protocolID) == true else { return }
        let known = contact(DHTContact(nodeID, addresses: connections.peers.present(nodeID)), on: session)
        guard !known.addresses.isEmpty else { return }
        table.handle { machine, _ in machine.heard(of: known, subnet: Self.subnet(of: session)) }
    }

    private func carryOut(_ actions: [RoutingTable.Action]) {
        guard isKeptUp, !isStopped else { return }
        for action in actions {
            switch action {
            case .check(let contact):
                networkTask { [weak self] in
                    guard let self else { return }
                    // What came of it the table has been told.
                    _ = try? await ask(contact, ownRequest)
                }
            case .refresh(let bucket): refresh(bucket)
            }
        }
    }

    /// A key that was drawn at random shows how many nodes there are, too.
    private func refresh(_ bucket: Int?) {
        var random = connections.random
        let target = bucket.map { table.machine.target(inBucket: $0, using: &random) }
        let lookup = DHTLookup(self, target.map { .findPlace($0) } ?? ownRequest)
        networkTask { [weak self] in
            let outcome = await lookup.run()
            if let self, let target, outcome.hasArrived { size.lookedUp(target, closest: outcome.closest) }
        }
    }

    // MARK: Whom to ask

    /// Where a lookup begins.
    func seeds(near place: DHTKey) async -> [DHTContact] {
        let remembered = table.machine.isSparse ? await memory?.contacts() ?? [] : []
        return table.machine.seeds(near: place, remembered: remembered, bootstrap: bootstrap)
    }

    /// A lookup has ended: that part of the table need not be refreshed.
    func ended(lookupOf place: DHTKey) { table.note { $0.lookedUp(place, now: $1) } }

    private func remember() async {
        // Of each bucket something: those of the farthest come first.
        await memory?.keep(table.machine.contacts)
    }
}
