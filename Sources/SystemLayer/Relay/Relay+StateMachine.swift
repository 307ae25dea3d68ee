internal import Identity
internal import QUIC

/// A relay's reservations, circuits and quotas: pure.
///
/// A reservation is made by ``reserve(_:now:)``, renewed by the same, and lost with its connection or at its time. A
/// circuit is `asked` (the target has to answer) from ``connect(_:to:now:)`` on, `open` after
/// ``targetAccepted(_:now:)``, and gone after ``end(_:)``, ``connectionClosed(_:)`` or ``timerFired(now:)``.
struct RelayMachine {
    /// A node on one connection.
    struct Client: Hashable {
        let nodeID: NodeID
        /// The session that it speaks on.
        let session: UInt64
        /// Where it is; `nil` when it is itself reached through another.
        let address: IPAddress?
    }

    enum OnReserve: Equatable {
        case granted(isRenewal: Bool)
        case refused(RelayError)
    }

    enum OnConnect: Equatable {
        /// The target is to be asked on this session.
        case ask(circuit: UInt64, session: UInt64)
        case refused(RelayError)
    }

    private struct Reservation {
        let client: Client
        let expires: NetworkInstant
    }

    private struct Circuit {
        let source: Client
        let target: Client
        var openedAt: NetworkInstant?
    }

    /// Nodes whose rate of requests is remembered, connected or not.
    static let requestersRemembered = 8_192

    var limits: RelayLimits
    private var reservations: [NodeID: Reservation] = [:]
    private var circuits: [UInt64: Circuit] = [:]
    private var requests: [NodeID: TokenBucket] = [:]
    private var nextCircuit: UInt64 = 0
    private var reservationsOf = Quotas()
    private var circuitsOf = Quotas()
    private var circuitsWith: [NodeID: Int] = [:]

    init(limits: RelayLimits) {
        self.limits = limits
    }

    var reservationCount: Int { reservations.count }
    var circuitCount: Int { circuits.count }
    var isEmpty: Bool { reservations.isEmpty && circuits.isEmpty }

    // MARK: Reservations

    mutating func reserve(_ client: Client, now: NetworkInstant) -> OnReserve {
        guard takeRequest(client.nodeID, now: now) else { return .refused(requestLimit) }
        // One slot a node: a renewal, also over another connection, takes the place of what was there.
        let previous = reservations.removeValue(forKey: client.nodeID)
        if let previous { reservationsOf.remove(previous.client.address) }
        if let error = refusal(of: client) {
            if let previous {
                reservations[client.nodeID] = previous
                reservationsOf.add(previous.client.address)
            }
            return .refused(error)
        }
        reservationsOf.add(client.address)
        reservations[client.nodeID] = Reservation(client: client, expires: now.advanced(by: limits.reservationTime))
        return .granted(isRenewal: previous != nil)
    }

    private func refusal(of client: Client) -> RelayError? {
        typealias Name = RelayLimits.Name
        if reservations.count >= limits.reservations { return .limit(Name.reservations, limits.reservations) }
        if reservationsOf.count(client.address) >= limits.reservationsPerAddress {
            return .limit(Name.reservationsPerAddress, limits.reservationsPerAddress)
        }
        if reservationsOf.subnetCount(client.address) >= limits.reservationsPerSubnet {
            return .limit(Name.reservationsPerSubnet, limits.reservationsPerSubnet)
        }
        return nil
    }

    // MARK: Circuits

    mutating func connect(_ source: Client, to target: NodeID, now: NetworkInstant) -> OnConnect {
        typealias Name = RelayLimits.Name
        guard takeRequest(source.nodeID, now: now) else { return .refused(requestLimit) }
        guard let reservation = reservations[target], reservation.expires > now, target != source.nodeID else {
            return .refused(RelayError(.noReservation))
        }
        if circuits.count >= limits.circuits { return .refused(.limit(Name.circuits, limits.circuits)) }
        for node in [source.nodeID, target] where circuitsWith[node, default: 0] >= limits.circuitsPerNode {
            return .refused(.limit(Name.circuitsPerNode, limits.circuitsPerNode))
        }
        if circuitsOf.count(source.address) >= limits.circuitsPerAddress {
            return .refused(.limit(Name.circuitsPerAddress, limits.circuitsPerAddress))
        }
        if circuitsOf.subnetCount(source.address) >= limits.circuitsPerSubnet {
            return .refused(.limit(Name.circuitsPerSubnet, limits.circuitsPerSubnet))
        }
        nextCircuit += 1
        circuits[nextCircuit] = Circuit(source: source, target: reservation.client)
        circuitsOf.add(source.address)
        for node in [source.nodeID, target] { circuitsWith[node, default: 0] += 1 }
        return .ask(circuit: nextCircuit, session: reservation.client.session)
    }

    mutating func targetAccepted(_ circuit: UInt64, now: NetworkInstant) {
        circuits[circuit]?.openedAt = now
    }

    /// Forgets a circuit; one that is gone already is ignored.
    mutating func end(_ number: UInt64) {
        guard let circuit = circuits.removeValue(forKey: number) else { return }
        circuitsOf.remove(circuit.source.address)
        for node in [circuit.source.nodeID, circuit.target.nodeID] {
            let left = circuitsWith[node, default: 1] - 1
            circuitsWith[node] = left > 0 ? left : nil
        }
    }

    // MARK: Ends

    /// - Returns: the circuits that the connection carried, which are to be ended, and whether it held a reservation.
    mutating func connectionClosed(_ client: Client) -> (circuits: [UInt64], heldReservation: Bool) {
        var held = false
        if let reservation = reservations[client.nodeID], reservation.client.session == client.session {
            drop(client.nodeID)
            held = true
        }
        let ended = circuits.filter {
            $0.value.source.session == client.session || $0.value.target.session == client.session
        }
        return (ended.keys.sorted(), held)
    }

    private mutating func drop(_ nodeID: NodeID) {
        guard let reservation = reservations.removeValue(forKey: nodeID) else { return }
        reservationsOf.remove(reservation.client.address)
    }

    /// - Returns: the nodes whose reservations have run out, which are gone, and the circuits whose time is over,
    ///   which are to be ended.
    mutating func timerFired(now: NetworkInstant) -> (expired: [NodeID], overdue: [UInt64]) {
        let expired = reservations.filter { $0.value.expires <= now }.map(\.key)
        for nodeID in expired { drop(nodeID) }
        guard let time = limits.circuitTime else { return (expired, []) }
        let overdue = circuits.filter { $0.value.openedAt.map { now.duration(since: $0) >= time } ?? false }
        return (expired, overdue.keys.sorted())
    }

    // MARK: Requests

    private var requestLimit: RelayError { .limit(RelayLimits.Name.requests, limits.requestsPerMinute) }

    private mutating func takeRequest(_ nodeID: NodeID, now: NetworkInstant) -> Bool {
        // Forgetting all of them forgives each a minute's requests; keeping them all would be a leak.
        if requests.count >= Self.requestersRemembered { requests.removeAll() }
        var bucket =
            requests[nodeID]
            ?? TokenBucket(rate: max(limits.requestsPerMinute / 60, 1), burst: limits.requestsPerMinute, now: now)
        defer { requests[nodeID] = bucket }
        return bucket.takeNow(now: now)
    }
}

/// Counts by IP address and by subnet.
private struct Quotas {
    private var addresses: [IPAddress: Int] = [:]
    private var subnets: [IPAddress: Int] = [:]

    func count(_ address: IPAddress?) -> Int { address.flatMap { addresses[$0] } ?? 0 }
    func subnetCount(_ address: IPAddress?) -> Int { address.flatMap { subnets[$0.subnet] } ?? 0 }

    mutating func add(_ address: IPAddress?) {
        guard let address else { return }
        addresses[address, default: 0] += 1
        subnets[address.subnet, default: 0] += 1
    }

    mutating func remove(_ address: IPAddress?) {
        guard let address else { return }
        Self.decrement(address, in: &addresses)
        Self.decrement(address.subnet, in: &subnets)
    }

    private static func decrement(_ key: IPAddress, in counts: inout [IPAddress: Int]) {
        let left = counts[key, default: 1] - 1
        counts[key] = left > 0 ? left : nil
    }
}
