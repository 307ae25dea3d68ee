internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor

/// What there is to know of one node's presence: pure. Its sessions are one node, whichever of its processes they are with.
struct WatchedPeer {
    /// So many comings and goings within that time are flapping.
    static let flaps = 3
    static let flapWindow = Duration.seconds(60)
    /// From one look at a node that is silent to the next.
    static let lookInterval = Duration.milliseconds(500)
    /// So much is told of one node within ``flapWindow`` that changes its path only: what comes too fast is told late, and
    /// then as it is by then.
    static let tellings = 8
    /// How long a node is asked sooner after its answer was late: what loses packets for a second does so again.
    static let strain = Duration.seconds(60)

    /// One session.
    private struct Link {
        let id: UInt64
        var path: ConnectionPath.Kind
        var heardAt: NetworkInstant
        var lostAt: NetworkInstant?
        var probedAt: NetworkInstant?
        /// Whether an answer is late.
        var isLate = false
    }

    /// How the last session ended.
    private struct Ending {
        let reason: PeerPresence.Reason
        /// Until when, and as what, it may still come back.
        let hold: (until: NetworkInstant, reason: PeerPresence.Reason)?
    }

    private struct Finding {
        let state: PeerPresence.State
        let path: ConnectionPath.Kind?
        var reason: PeerPresence.Reason?
    }

    let nodeID: NodeID
    /// In which of this node's realms it is a member.
    var realm: Int?
    /// Whether it came by itself and is nobody's.
    var isStranger: Bool
    /// Nothing is told of it before.
    var tellAfter: NetworkInstant
    private(set) var told: PeerPresence?
    /// When it is looked at next, whatever happens before: what has come meanwhile is learned then.
    var timer: (token: TimerToken, due: NetworkInstant)?
    private var links: [Link] = []
    private var ending: Ending?
    /// The last of its comings and goings, ``flaps`` at most; and whether it was there after them.
    private var changes: [NetworkInstant] = []
    private var isThere = true
    /// When something was told last, ``tellings`` at most.
    private var toldAt: [NetworkInstant] = []
    private var strainedUntil: NetworkInstant?

    init(_ nodeID: NodeID, isStranger: Bool, tellAfter: NetworkInstant) {
        (self.nodeID, self.isStranger, self.tellAfter) = (nodeID, isStranger, tellAfter)
    }

    var isMember: Bool { realm != nil }
    var hasSessions: Bool { !links.isEmpty }
    var sessions: [UInt64] { links.map(\.id) }
    /// When something last came from it.
    var heardAt: NetworkInstant { links.map(\.heardAt).max() ?? NetworkInstant(nanoseconds: 0) }
    /// The last of what it did.
    var changedAt: NetworkInstant { max(changes.last ?? tellAfter, toldAt.last ?? tellAfter) }

    // MARK: Its sessions

    mutating func open(_ id: UInt64, _ path: ConnectionPath.Kind, now: NetworkInstant) {
        links.append(Link(id: id, path: path, heardAt: now))
        ending = nil
    }

    mutating func heard(_ id: UInt64, at instant: NetworkInstant) {
        guard let index = links.firstIndex(where: { $0.id == id }) else { return }
        guard instant > links[index].heardAt else { return }
        links[index].heardAt = instant
        guard links[index].isLate else { return }
        links[index].isLate = false
        strainedUntil = instant.advanced(by: Self.strain)
    }

    mutating func moved(_ id: UInt64, to path: ConnectionPath.Kind) {
        guard let index = links.firstIndex(where: { $0.id == id }) else { return }
        (links[index].path, links[index].lostAt) = (path, nil)
    }

    mutating func lostPath(_ id: UInt64, now: NetworkInstant) {
        guard let index = links.firstIndex(where: { $0.id == id }) else { return }
        links[index].lostAt = now
    }

    mutating func close(
        _ id: UInt64, _ reason: PeerPresence.Reason, now: NetworkInstant, resumedAt: NetworkInstant?,
        _ times: LivenessTimes
    ) {
        guard let index = links.firstIndex(where: { $0.id == id }) else { return }
        let link = links.remove(at: index)
        guard links.isEmpty else { return }
        ending = Ending(reason: reason, hold: hold(link, reason, now, resumedAt, times))
    }

    /// Who said nothing may come back, but is not waited for longer than had the session gone on in silence; unless it was
    /// this machine that heard nobody.
    private func hold(
        _ link: Link, _ reason: PeerPresence.Reason, _ now: NetworkInstant, _ resumedAt: NetworkInstant?,
        _ times: LivenessTimes
    ) -> (until: NetworkInstant, reason: PeerPresence.Reason)? {
        guard reason.isUnspoken else { return nil }
        if let resumedAt, now.duration(since: resumedAt) < LivenessTimes.grace {
            return (resumedAt.advanced(by: LivenessTimes.grace), .resumed)
        }
        guard reason == .lost else { return nil }
        return (link.heardAt.advanced(by: times.patience(link.path)), .pathLost)
    }

    // MARK: Probes

    /// Silence after which it is asked.
    private func lateness(_ now: NetworkInstant, _ times: LivenessTimes) -> Duration {
        strainedUntil.map { now < $0 } ?? false ? times.lateWhereStrained : times.late
    }

    /// When it is to be asked for a sign of life; `nil` once it is too late. Of strangers nobody wants to know so closely.
    private func probeAt(
        _ link: Link, _ now: NetworkInstant, _ resumedAt: NetworkInstant?, _ times: LivenessTimes
    ) -> NetworkInstant? {
        guard !isStranger else { return nil }
        let silentSince = silentSince(link, resumedAt)
        let first = silentSince.advanced(by: lateness(now, times))
        let due = link.probedAt.map { max(first, $0.advanced(by: times.probeInterval)) } ?? first
        return due < silentSince.advanced(by: times.patience(link.path)) ? due : nil
    }

    /// The sessions that are to be asked for a sign of life now.
    func silent(_ now: NetworkInstant, resumedAt: NetworkInstant?, _ times: LivenessTimes) -> [UInt64] {
        links.filter { probeAt($0, now, resumedAt, times).map { $0 <= now } ?? false }.map(\.id)
    }

    /// It is asked.
    mutating func probe(_ id: UInt64, now: NetworkInstant, resumedAt: NetworkInstant?, _ times: LivenessTimes) {
        guard let index = links.firstIndex(where: { $0.id == id }) else { return }
        links[index].probedAt = now
        let silence = now.duration(since: silentSince(links[index], resumedAt))
        let lateness = lateness(now, times)
        // Before it is late QUIC has asked; where it is asked sooner, the first probe did.
        let bound = lateness == times.late ? lateness : lateness + LivenessTimes.answer
        if silence >= bound { links[index].isLate = true }
    }

    // MARK: What follows

    private func silentSince(_ link: Link, _ resumedAt: NetworkInstant?) -> NetworkInstant {
        max(link.heardAt, resumedAt ?? link.heardAt)
    }

    /// Until when the session counts as one that works.
    private func worksUntil(_ link: Link, _ resumedAt: NetworkInstant?, _ times: LivenessTimes) -> NetworkInstant {
        silentSince(link, resumedAt).advanced(by: times.heartbeat)
    }

    private func isLost(_ link: Link, _ now: NetworkInstant, _ times: LivenessTimes) -> Bool {
        link.lostAt.map { now < $0.advanced(by: times.heartbeat) } ?? false
    }

    /// Without regard to how often it comes and goes.
    private func find(_ now: NetworkInstant, _ resumedAt: NetworkInstant?, _ times: LivenessTimes) -> Finding {
        let working = links.last { link in
            now < worksUntil(link, resumedAt, times) && !isLost(link, now, times)
        }
        if let working { return Finding(state: .online, path: working.path) }
        if let last = links.last {
            guard now < goneAt(resumedAt, times) else { return Finding(state: .offline, path: nil, reason: .timeout) }
            let isPathLost = links.contains { isLost($0, now, times) }
            return Finding(state: .unstable, path: last.path, reason: isPathLost ? .pathLost : .silent)
        }
        if let hold = ending?.hold, now < hold.until {
            return Finding(state: .unstable, path: nil, reason: hold.reason)
        }
        return Finding(state: .offline, path: nil, reason: ending?.reason)
    }

    /// When the last of its sessions has been silent for too long.
    private func goneAt(_ resumedAt: NetworkInstant?, _ times: LivenessTimes) -> NetworkInstant {
        links.map { silentSince($0, resumedAt).advanced(by: times.patience($0.path)) }.max()
            ?? NetworkInstant(nanoseconds: 0)
    }

    /// How it is now; comings and goings are counted here.
    mutating func look(_ now: NetworkInstant, resumedAt: NetworkInstant?, _ times: LivenessTimes) -> PeerPresence {
        var finding = find(now, resumedAt, times)
        if (finding.state == .online) != isThere {
            isThere.toggle()
            changes = changes.suffix(Self.flaps - 1) + [now]
        }
        // It may come back any moment: that it is gone is told once it has stayed away, or kept silent for long enough.
        let isHeldBack = finding.state != .offline || finding.reason != .timeout && now < calmAt
        if let end = flapsUntil, now < end, isHeldBack {
            finding = Finding(state: .unstable, path: finding.path, reason: .flapping)
        }
        return PeerPresence(nodeID, finding.state, path: finding.path, reason: finding.reason, isMember: isMember)
    }

    private var flapsUntil: NetworkInstant? {
        changes.count < Self.flaps ? nil : changes.first?.advanced(by: Self.flapWindow)
    }

    private var calmAt: NetworkInstant { (changes.last ?? tellAfter).advanced(by: LivenessTimes.grace) }

    /// When time alone may make something else of it.
    func nextLook(_ now: NetworkInstant, resumedAt: NetworkInstant?, _ times: LivenessTimes) -> NetworkInstant? {
        var instants = [flapsUntil, changes.count < Self.flaps ? nil : calmAt, ending?.hold?.until]
        if hasSessions {
            let working = links.filter { !isLost($0, now, times) }.map { worksUntil($0, resumedAt, times) }.max()
            let look = now.advanced(by: Self.lookInterval)
            instants += [working.flatMap { $0 > now ? $0 : nil } ?? look, goneAt(resumedAt, times)]
            instants += links.map { probeAt($0, now, resumedAt, times) }
        }
        return instants.compactMap(\.self).filter { $0 > now }.min()
    }

    // MARK: Telling

    /// Whether it has been told how it is. What makes it doubtful may be this and that in turn: once is enough.
    func isTold(_ presence: PeerPresence) -> Bool {
        guard let told, told.state == .unstable, presence.state == .unstable else { return told == presence }
        return told.isMember == presence.isMember
    }

    /// When that may be told of it; `nil` for at any time. How often a node comes and goes is bounded by what flapping is.
    func mayTellAt(_ presence: PeerPresence) -> NetworkInstant? {
        guard let told else { return tellAfter }
        guard told.state == presence.state, toldAt.count >= Self.tellings else { return nil }
        return toldAt.first?.advanced(by: Self.flapWindow)
    }

    mutating func tell(_ presence: PeerPresence, now: NetworkInstant) {
        told = presence
        toldAt = toldAt.suffix(Self.tellings - 1) + [now]
    }
}
