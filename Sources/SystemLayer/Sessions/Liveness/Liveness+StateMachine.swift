package import DeP2PIdentity
package import DeP2PQUIC
package import DeP2PReactor

/// Who is online, from what becomes of this node's sessions: pure.
///
/// A node is `online` while a session with it works, `unstable` when a heartbeat is missing, its way is lost, or it came and
/// went three times within a minute, and `offline` when it said so, or has been silent for too long. No session is
/// ended for this: how long a connection lives, with a transfer that is patient, is another thing.
///
/// The heartbeat is QUIC's keep-alive. Where its answer does not come, QUIC asks again ever more rarely, so that of a link
/// that passes nothing for a second now and then it may miss every moment at which it does pass: therefore a node that is
/// late is asked at short intervals until it is given up (``takeProbes()``), and sooner for a while after it was late.
///
/// Events: ``opened(_:of:over:as:now:)``, then in any order ``admitted(_:now:)``, ``moved(_:to:now:)``,
/// ``lostPath(_:now:)``, at last ``closed(_:_:now:)``; ``timerFired(now:heardAt:)`` when the instant of ``wake`` has come;
/// ``leftRealm()``. Each returns what is to be told, in order; after each, ``takeProbes()``.
///
/// A call that comes well after ``wake`` shows that this machine stood still, asleep or stopped: everybody has the time of
/// silence anew, and sessions that did not survive are waited for.
///
/// **Bounds.** Nodes that are present (``Limits/present``) and those that have gone (``goneLimit``, for ``WatchedPeer/flapWindow``,
/// so that flapping shows) are two tables. Of the gone, strangers are forgotten first, then who did nothing for longest. Where
/// all places of the present are taken, a stranger is not watched, and anybody else takes the place of the stranger heard
/// longest ago; members and nodes of this one's choice give way to nobody. What is told of one node has its measure, and what
/// is told of all strangers together; beyond it is told late, and then as it is by then. So has how many are asked a second
/// (`LivenessTimes.paced`): the more there are, the more rarely each.
package struct LivenessMachine {
    /// Who a session is with.
    package enum Standing: Equatable, Sendable {
        case stranger
        /// This node dialled it, or something protects it.
        case chosen
    }

    package struct Limits: Equatable, Sendable {
        /// Nodes watched that are not gone.
        package let present: Int

        package init(present: Int) { self.present = max(1, present) }
    }

    /// Nodes remembered that have gone.
    static let goneLimit = 1_024
    /// How late a call may be before this machine stood still.
    static let jump = Duration.seconds(2)
    /// In a realm, how long a node may take to prove that it is a member before it is told as a stranger.
    static let settling = Duration.seconds(1)
    /// What is told of all strangers together.
    static let strangersRate = 10
    static let strangersBurst = 100

    private let calmTimes: LivenessTimes
    private let limits: Limits
    private var present: [NodeID: WatchedPeer] = [:]
    private var gone: [NodeID: WatchedPeer] = [:]
    private var nodes: [UInt64: NodeID] = [:]
    private var timers = TimerQueue<NodeID>()
    private var bucket = TokenBucket(rate: Self.strangersRate, burst: Self.strangersBurst)
    private var probes: [UInt64] = []
    /// When this machine stood still last.
    private var resumedAt: NetworkInstant?
    /// Counts the realms that this node has left.
    private var realm = 0
    /// Whether this node is in a realm: who comes may be a member.
    package var isInRealm = false
    /// When ``timerFired(now:heardAt:)`` is due.
    package private(set) var wake: NetworkInstant?

    package init(times: LivenessTimes, limits: Limits) {
        (calmTimes, self.limits) = (times, limits)
    }

    private var times: LivenessTimes { calmTimes.paced(among: present.count) }

    // MARK: What is known

    package var presentCount: Int { present.count }
    package var goneCount: Int { gone.count }

    /// Who is online or unstable, in the order of NodeIDs.
    package func snapshot(now: NetworkInstant) -> [PeerPresence] {
        present.keys.sorted().compactMap { nodeID in
            guard var peer = present[nodeID], !isSettling(peer, now) else { return nil }
            let presence = peer.look(now, resumedAt: resumedAt, times)
            return presence.state == .offline ? nil : presence
        }
    }

    private func isSettling(_ peer: WatchedPeer, _ now: NetworkInstant) -> Bool {
        peer.told == nil && now < peer.tellAfter
    }

    // MARK: Events

    /// A session stands.
    package mutating func opened(
        _ session: UInt64, of nodeID: NodeID, over path: ConnectionPath.Kind, as standing: Standing,
        now: NetworkInstant
    ) -> [PeerPresence] {
        notice(now)
        let isKnown = present[nodeID] != nil
        var peer = present[nodeID] ?? gone[nodeID] ?? newcomer(nodeID, standing, now)
        if standing == .chosen { peer.isStranger = false }
        var told: [PeerPresence] = []
        if !isKnown, present.count >= limits.present {
            guard !peer.isStranger, let victim = leastOfTheStrangers() else { return [] }
            told = unwatch(victim)
        }
        gone[nodeID] = nil
        peer.open(session, path, now: now)
        nodes[session] = nodeID
        return told + settle(&peer, now)
    }

    private func newcomer(_ nodeID: NodeID, _ standing: Standing, _ now: NetworkInstant) -> WatchedPeer {
        WatchedPeer(
            nodeID, isStranger: standing == .stranger,
            tellAfter: isInRealm ? now.advanced(by: Self.settling) : now)
    }

    /// Both sides have proven the realm key.
    package mutating func admitted(_ session: UInt64, now: NetworkInstant) -> [PeerPresence] {
        change(session, now) { [realm] peer in
            (peer.realm, peer.isStranger, peer.tellAfter) = (realm, false, min(peer.tellAfter, now))
        }
    }

    /// The session's packets travel another way.
    package mutating func moved(
        _ session: UInt64, to path: ConnectionPath.Kind, now: NetworkInstant
    ) -> [PeerPresence] {
        change(session, now) { $0.moved(session, to: path) }
    }

    /// The session's way is dead, and another is looked for.
    package mutating func lostPath(_ session: UInt64, now: NetworkInstant) -> [PeerPresence] {
        change(session, now) { $0.lostPath(session, now: now) }
    }

    /// - Parameter heardAt: when something came over it last.
    package mutating func closed(
        _ session: UInt64, _ end: SessionEnd, heardAt: NetworkInstant, now: NetworkInstant
    ) -> [PeerPresence] {
        notice(now)
        let told = change(session, now) { [times, resumedAt] peer in
            peer.heard(session, at: heardAt)
            peer.close(session, PeerPresence.Reason(end), now: now, resumedAt: resumedAt, times)
        }
        nodes[session] = nil
        return told
    }

    /// This node has left its realm: who was a member there is so until its session, which is closed, has ended.
    package mutating func leftRealm() {
        realm += 1
        gone = gone.filter { nodeID, peer in
            guard peer.isMember else { return true }
            peer.timer.map { timers.remove($0.token) }
            return false
        }
        wake = timers.earliest()
    }

    /// - Parameter heardAt: when something last came over the session of that number.
    package mutating func timerFired(
        now: NetworkInstant, heardAt: (UInt64) -> NetworkInstant?
    ) -> [PeerPresence] {
        notice(now)
        var told: [PeerPresence] = []
        // Each is looked at once, whatever its next look is.
        for _ in 0..<timers.count {
            guard let nodeID = timers.popDue(at: now) else { break }
            if gone[nodeID] != nil {
                gone[nodeID] = nil
            } else if var peer = present[nodeID] {
                peer.timer = nil
                for session in peer.sessions { heardAt(session).map { peer.heard(session, at: $0) } }
                probe(&peer, now)
                told += settle(&peer, now)
            }
        }
        wake = timers.earliest()
        return told
    }

    /// The sessions that are to be sent something now that their nodes have to answer.
    package mutating func takeProbes() -> [UInt64] {
        defer { probes = [] }
        return probes
    }

    // MARK: What follows

    private mutating func probe(_ peer: inout WatchedPeer, _ now: NetworkInstant) {
        for session in peer.silent(now, resumedAt: resumedAt, times) {
            peer.probe(session, now: now, resumedAt: resumedAt, times)
            probes.append(session)
        }
    }

    private mutating func change(
        _ session: UInt64, _ now: NetworkInstant, _ body: (inout WatchedPeer) -> Void
    ) -> [PeerPresence] {
        guard let nodeID = nodes[session] else { return [] }
        notice(now)
        guard var peer = present[nodeID] else { return [] }
        body(&peer)
        return settle(&peer, now)
    }

    /// Whether this machine stood still.
    private mutating func notice(_ now: NetworkInstant) {
        if let wake, now > wake.advanced(by: Self.jump) { resumedAt = now }
    }

    /// Tells how the node is if that is new and may be told, and puts it where it belongs.
    private mutating func settle(_ peer: inout WatchedPeer, _ now: NetworkInstant) -> [PeerPresence] {
        let due = peer.timer?.due
        peer.timer.map { timers.remove($0.token) }
        peer.timer = nil
        defer { wake = timers.earliest() }
        let presence = peer.look(now, resumedAt: resumedAt, times)
        let isOver = presence.state == .offline && !peer.hasSessions
        if isOver, peer.told == nil {
            // Nobody has heard of it.
            present[peer.nodeID] = nil
            return []
        }
        var told: [PeerPresence] = []
        var retryAt: NetworkInstant?
        if !peer.isTold(presence) {
            retryAt = whenToTell(presence, of: peer, now)
            if retryAt == nil {
                peer.tell(presence, now: now)
                told = [presence]
            }
        }
        if isOver, retryAt == nil {
            forget(&peer, now)
        } else {
            let next = [due, retryAt, peer.nextLook(now, resumedAt: resumedAt, times)].compactMap(\.self).min()
            peer.timer = next.map { (timers.insert(peer.nodeID, at: $0), $0) }
            present[peer.nodeID] = peer
        }
        return told
    }

    /// - Returns: `nil` when it may be told now.
    private mutating func whenToTell(
        _ presence: PeerPresence, of peer: WatchedPeer, _ now: NetworkInstant
    ) -> NetworkInstant? {
        if let earliest = peer.mayTellAt(presence), earliest > now { return earliest }
        guard peer.isStranger, !bucket.takeNow(now: now) else { return nil }
        return now.advanced(by: .seconds(1))
    }

    /// Keeps of one that has gone what it takes to see that it flaps.
    private mutating func forget(_ peer: inout WatchedPeer, _ now: NetworkInstant) {
        present[peer.nodeID] = nil
        // Members of a realm that this node has left are strangers in the next.
        if let realm = peer.realm, realm != self.realm { return }
        if peer.told?.reason == .leftRealm { (peer.realm, peer.isStranger) = (nil, true) }
        let end = now.advanced(by: WatchedPeer.flapWindow)
        peer.timer = (timers.insert(peer.nodeID, at: end), end)
        gone[peer.nodeID] = peer
        guard gone.count > Self.goneLimit else { return }
        let least = gone.values.min { left, right in
            left.isStranger == right.isStranger ? left.changedAt < right.changedAt : left.isStranger
        }
        guard let least else { return }
        least.timer.map { timers.remove($0.token) }
        gone[least.nodeID] = nil
    }

    // MARK: When there are too many

    private func leastOfTheStrangers() -> WatchedPeer? {
        present.values.filter(\.isStranger).min { left, right in
            (left.heardAt, left.nodeID) < (right.heardAt, right.nodeID)
        }
    }

    private mutating func unwatch(_ peer: WatchedPeer) -> [PeerPresence] {
        for session in peer.sessions { nodes[session] = nil }
        peer.timer.map { timers.remove($0.token) }
        present[peer.nodeID] = nil
        guard let told = peer.told, told.state != .offline else { return [] }
        return [PeerPresence(peer.nodeID, .offline, path: nil, reason: .unwatched, isMember: false)]
    }
}
