package import DeP2PDiscovery
internal import DeP2PIdentity
package import DeP2PReactor

/// A DHT of many nodes in memory: their own machines, on virtual time, with the round trips of the Internet, loss and churn,
/// but without connections: what a request costs is counted, not sent.
///
/// Calling order: make it, ``run(for:)`` as long as it takes to settle, ``get(_:from:then:)`` and its kin as often as wanted,
/// ``run(for:)`` again. The same settings give the same run.
package final class DHTWorld {
    /// Servers that everybody knows and that stay.
    static let bootstrapCount = 5
    /// Contacts in an answer.
    static let answerCount = DHT.replication

    package let settings: DHTWorldSettings
    package private(set) var now = NetworkInstant(nanoseconds: 0)
    package internal(set) var nodes: [DHTWorldNode] = []
    /// Requests, answers, and the bytes of both, of what nobody asked for: checks and refreshes.
    package internal(set) var idleMessages = 0
    package internal(set) var idleBytes = 0
    package private(set) var eventCount = 0
    var random: SplitMix64
    let trips: InternetRoundTrips
    var indexes: [DHTKey: Int] = [:]
    var calls: [Int: DHTCall] = [:]
    var nextNumber = 0
    private var events = TimerQueue<Event>()
    /// Who lies, among so many nodes.
    var liars: [DHTContact] = []
    var liarCount = 0

    enum Event {
        case arrival(call: Int)
        case answer(call: Int, DHTAnswer)
        case timeout(call: Int)
        case table(node: Int, DHTKey)
        case operation(node: Int, DHTKey, number: Int)
        case churn
        case action(() -> Void)
    }

    package init(_ settings: DHTWorldSettings, trips: InternetRoundTrips) {
        self.settings = settings
        self.trips = trips
        random = SplitMix64(seed: settings.seed)
        for index in 0..<settings.nodes { append(isClient: isClient(index), conduct: conduct(index)) }
        switch settings.start {
        case .perfect: fillTables()
        case .ring: linkRing()
        }
        if settings.churn > 0 { schedule(.churn, after: churnInterval) }
    }

    private func isClient(_ index: Int) -> Bool {
        index >= Self.bootstrapCount && random.unit() < settings.clientShare
    }

    private func conduct(_ index: Int) -> DHTWorldNode.Conduct {
        index >= Self.bootstrapCount && random.unit() < settings.sybilShare ? settings.sybils : .honest
    }

    // MARK: Time

    func schedule(_ event: Event, after delay: Duration) { schedule(event, at: now.advanced(by: delay)) }

    func schedule(_ event: Event, at instant: NetworkInstant) { _ = events.insert(event, at: instant) }

    /// Has it happen then.
    package func schedule(after delay: Duration, _ action: @escaping () -> Void) {
        schedule(.action(action), after: delay)
    }

    package func run(for duration: Duration) {
        let end = now.advanced(by: duration)
        while let next = events.earliest(), next <= end {
            now = max(now, next)
            if let event = events.popDue(at: now) { handle(event) }
        }
        now = end
    }

    private func handle(_ event: Event) {
        eventCount += 1
        switch event {
        case .arrival(let call): arrive(call)
        case .answer(let call, let answer): receive(answer, of: call)
        case .timeout(let call): giveUp(call)
        case .table(let index, let key):
            // One that was scheduled before an earlier one is none any more.
            guard let node = live(index, key), node.wakesAt <= now else { return }
            node.wakesAt = .distantFuture
            carryOut(node.table.timerFired(now: now), at: node)
        case .operation(let index, let key, let number):
            guard let node = live(index, key), let operation = node.operations[number],
                operation.wakesAt <= now
            else { return }
            operation.wakesAt = .distantFuture
            wake(operation, of: node)
        case .churn:
            replaceOne()
            schedule(.churn, after: churnInterval)
        case .action(let action): action()
        }
    }

    private func live(_ index: Int, _ key: DHTKey) -> DHTWorldNode? {
        let node = nodes[index]
        return node.isUp && node.contact.key == key ? node : nil
    }

    // MARK: Nodes

    private var churnInterval: Duration { .seconds(600 / (settings.churn * Double(settings.nodes))) }

    /// One goes, and a new one comes in its place, which knows those that everybody knows.
    private func replaceOne() {
        let index = Self.bootstrapCount + Int(random.next() % UInt64(settings.nodes - Self.bootstrapCount))
        let old = nodes[index]
        guard old.conduct == .honest else { return }
        old.isUp = false
        indexes[old.contact.key] = nil
        nodes[index] = make(index: index, isClient: old.isClient, conduct: .honest, key: nil)
        join(nodes[index])
    }

    func join(_ node: DHTWorldNode) {
        let start = Int(random.next() % UInt64(Self.bootstrapCount))
        for step in 0..<3 {
            let known = nodes[(start + step) % Self.bootstrapCount]
            carryOut(node.table.heard(of: known.contact, subnet: known.subnet), at: node)
        }
    }

    @discardableResult
    func append(isClient: Bool, conduct: DHTWorldNode.Conduct, key: DHTKey? = nil, ip: IPAddress? = nil) -> DHTWorldNode
    {
        let node = make(index: nodes.count, isClient: isClient, conduct: conduct, key: key, ip: ip)
        nodes.append(node)
        return node
    }

    private func make(
        index: Int, isClient: Bool, conduct: DHTWorldNode.Conduct, key: DHTKey?, ip: IPAddress? = nil
    ) -> DHTWorldNode {
        let ip = ip ?? publicAddress()
        let contact = contact(at: ip, key: key)
        let node = DHTWorldNode(
            index: index, contact: contact, subnet: Subject(ip).subnet, place: trips.place(using: &random),
            isClient: isClient, conduct: conduct, secret: random.bytes(32))
        indexes[contact.key] = index
        return node
    }

    /// A node that nobody has to be: its name is a key's, which nobody has.
    func contact(at ip: IPAddress, key: DHTKey? = nil) -> DHTContact {
        while true {
            // The protobuf of an Ed25519 key, in an identity multihash; made here, it is of the right form.
            if let nodeID = try? NodeID(bytes: [0, 36, 8, 1, 0x12, 32] + random.bytes(32)) {
                return DHTContact(nodeID, addresses: [.quic(ip, port: 4001)], key: key)
            }
        }
    }

    func publicAddress() -> IPAddress {
        while true {
            let ip = IPAddress(v4: UInt32(truncatingIfNeeded: random.next() >> 32))
            if ip.isGlobal { return ip }
        }
    }

    /// One that is up, and honest.
    package func anyNode() -> DHTWorldNode {
        while true {
            let node = nodes[Int(random.next() % UInt64(nodes.count))]
            if node.isUp, node.conduct == .honest { return node }
        }
    }

    package func anyKey() -> DHTKey { DHTKey.random(using: &random) }

    /// Servers that are up, the nearest first.
    package func trueClosest(to key: DHTKey, count: Int = DHT.replication) -> [DHTContact] {
        let all = nodes.lazy.filter { $0.isUp && !$0.isClient }.map { ($0.contact, $0.contact.key.distance(to: key)) }
        return all.sorted { $0.1 < $1.1 }.prefix(count).map(\.0)
    }
}
