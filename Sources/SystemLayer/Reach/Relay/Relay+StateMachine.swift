internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor

/// A relay's reservations, circuits and quotas: pure.
///
/// A reservation is made by ``reserve(_:now:)``, renewed by the same, and lost with its connection or at its time. A
/// circuit is `asked` (the target has to answer) from ``connect(_:to:now:)`` on, `open` after
/// ``targetAccepted(_:now:)``, `confirmed` after ``confirm(_:)`` (the target knows who is at the other end), and gone
/// after ``end(_:)``, ``connectionClosed(_:)`` or ``timerFired(now:)``; ``carried(_:bytes:now:)`` each second in which frames
/// have passed.
///
/// Who can fill what, and at whose cost: a node's own circuits and requests only the node itself; a target's circuits
/// and those of all together anyone with addresses enough, which is why ``CircuitTable`` has unconfirmed and silent ones
/// give way; the quotas of a subject its neighbours behind one NAT, whom nothing tells apart but that they are members
/// (whose quotas strangers do not fill) or hold a reservation (whose requests others do not use up); those of all
/// together many subjects, of which each gets less as it fills.
struct RelayMachine {
    /// A node on one connection.
    struct Client: Hashable {
        let nodeID: NodeID
        /// The session that it speaks on.
        let session: UInt64
        /// Whom it counts for.
        let subject: Subject
        /// Whether it was admitted to the relay's realm: strangers behind the same NAT are not its doing.
        var isMember = false
    }

    enum OnReserve: Equatable {
        case granted(isRenewal: Bool)
        case refused(RelayError)
    }

    enum OnConnect: Equatable {
        /// The target is to be asked on this session; the circuit `instead` of which it is made is to be ended.
        case ask(circuit: UInt64, session: UInt64, instead: Displaced? = nil)
        case refused(RelayError)
    }

    /// A circuit that gave way to another, and the limit for which it did.
    struct Displaced: Equatable {
        let circuit: UInt64
        let limit: RelayError.Limit
    }

    /// What has come to its end.
    struct Due: Equatable {
        /// The nodes whose reservations have run out: these are gone.
        var expired: [NodeID] = []
        /// The circuits whose time is over, and those that nobody uses: these are to be ended.
        var overdue: [UInt64] = []
        var unused: [UInt64] = []
    }

    private struct Reservation {
        let client: Client
        let expires: NetworkInstant
    }

    private enum Requester: Hashable {
        case node(NodeID)
        case subject(Subject)
    }

    /// Requesters whose rate is remembered, connected or not.
    static let requestersRemembered = 8_192
    /// Strangers of one subject, without a reservation, that may make requests at their full rate.
    static let requestersPerSubject = 4
    /// Of the last quarter of all reservations or circuits, a subject and a subnet get this part of their quota.
    static let scarcity = 8

    var limits: RelayLimits { didSet { circuits.limits = limits } }
    private var reservations: [NodeID: Reservation] = [:]
    private var circuits: CircuitTable
    private var requests: [Requester: MinuteWindow] = [:]
    private var reservationsOf = ClientCounts()

    init(limits: RelayLimits) {
        self.limits = limits
        circuits = CircuitTable(limits: limits)
    }

    var reservationCount: Int { reservations.count }
    var circuitCount: Int { circuits.count }
    var requesterCount: Int { requests.count }
    var isEmpty: Bool { reservations.isEmpty && circuits.count == 0 }

    // MARK: Reservations

    mutating func reserve(_ client: Client, now: NetworkInstant) -> OnReserve {
        guard takeRequest(client, now: now) else { return .refused(requestLimit) }
        // One slot a node: a renewal, also over another connection, takes the place of what was there.
        let previous = reservations.removeValue(forKey: client.nodeID)
        if let previous { reservationsOf.remove(previous.client) }
        if let error = refusal(of: client, isRenewal: previous != nil) {
            if let previous {
                reservations[client.nodeID] = previous
                reservationsOf.add(previous.client)
            }
            return .refused(error)
        }
        reservationsOf.add(client)
        reservations[client.nodeID] = Reservation(client: client, expires: now.advanced(by: limits.reservationTime))
        return .granted(isRenewal: previous != nil)
    }

    private func refusal(of client: Client, isRenewal: Bool) -> RelayError? {
        typealias Name = RelayLimits.Name
        if reservations.count >= limits.reservations { return .limit(Name.reservations, limits.reservations) }
        // Who is there already is not to go because others come.
        let share = isRenewal ? 1 : Self.share(reservations.count, of: limits.reservations)
        if reservationsOf.count(client) >= max(limits.reservationsPerAddress / share, 1) {
            return .limit(Name.reservationsPerAddress, limits.reservationsPerAddress)
        }
        if reservationsOf.subnetCount(client) >= max(limits.reservationsPerSubnet / share, 1) {
            return .limit(Name.reservationsPerSubnet, limits.reservationsPerSubnet)
        }
        return nil
    }

    /// What quotas are divided by: few sources must not fill all there is.
    static func share(_ used: Int, of limit: Int) -> Int { used >= limit - limit / 4 ? scarcity : 1 }

    // MARK: Circuits

    mutating func connect(_ source: Client, to target: NodeID, now: NetworkInstant) -> OnConnect {
        guard takeRequest(source, now: now) else { return .refused(requestLimit) }
        guard let reservation = reservations[target], reservation.expires > now, target != source.nodeID else {
            return .refused(RelayError(.noReservation))
        }
        return switch circuits.open(from: source, to: reservation.client, now: now) {
        case .opened(let circuit, let displaced):
            .ask(circuit: circuit, session: reservation.client.session, instead: displaced)
        case .refused(let error): .refused(error)
        }
    }

    mutating func targetAccepted(_ circuit: UInt64, now: NetworkInstant) { circuits.accept(circuit, now: now) }

    mutating func confirm(_ circuit: UInt64) { circuits.confirm(circuit) }

    mutating func carried(_ circuit: UInt64, bytes: UInt64, now: NetworkInstant) {
        circuits.carried(circuit, bytes: bytes, now: now)
    }

    /// Forgets a circuit; one that is gone already is ignored.
    mutating func end(_ circuit: UInt64) { circuits.end(circuit) }

    // MARK: Ends

    /// - Returns: the circuits that the connection carried, which are to be ended, and whether it held a reservation.
    mutating func connectionClosed(_ client: Client) -> (circuits: [UInt64], heldReservation: Bool) {
        var held = false
        if let reservation = reservations[client.nodeID], reservation.client.session == client.session {
            drop(client.nodeID)
            held = true
        }
        return (circuits.circuits(on: client.session), held)
    }

    private mutating func drop(_ nodeID: NodeID) {
        guard let reservation = reservations.removeValue(forKey: nodeID) else { return }
        reservationsOf.remove(reservation.client)
    }

    mutating func timerFired(now: NetworkInstant) -> Due {
        let expired = reservations.filter { $0.value.expires <= now }.map(\.key)
        for nodeID in expired { drop(nodeID) }
        return Due(expired: expired, overdue: circuits.overdue(now: now), unused: circuits.unused(now: now))
    }

    // MARK: Requests

    private var requestLimit: RelayError { .limit(RelayLimits.Name.requests, limits.requestsPerMinute) }

    /// A node has its own requests; strangers share those of their subject too, unless they hold a reservation: who is
    /// served already is not to be cut off by a neighbour who makes identities.
    private mutating func takeRequest(_ client: Client, now: NetworkInstant) -> Bool {
        if requests.count >= Self.requestersRemembered { forgetRequests(now: now) }
        let subject = Requester.subject(client.subject)
        let isShared = !client.isMember && reservations[client.nodeID] == nil
        let all = limits.requestsPerMinute * Self.requestersPerSubject
        if isShared, !requests[subject, default: MinuteWindow()].take(limit: all, now: now) { return false }
        let own = Requester.node(client.nodeID)
        if requests[own, default: MinuteWindow()].take(limit: limits.requestsPerMinute, now: now) { return true }
        if isShared { requests[subject]?.giveBack() }
        return false
    }

    /// Keeping them all would be a leak; forgetting what counts still forgives each a minute's requests.
    private mutating func forgetRequests(now: NetworkInstant) {
        for requester in requests.keys where requests[requester]?.isEmpty(now: now) == true {
            requests[requester] = nil
        }
        // A scan that frees a few would be due again with the next requests.
        if requests.count >= Self.requestersRemembered / 4 * 3 { requests.removeAll() }
    }
}
