internal import DeP2PIdentity
package import DeP2PReactor

// What peers tell each other of messages: IHAVE, IWANT and IDONTWANT.
extension PubSubRouter {
    mutating func obey(_ control: PubSubControl, from key: PeerKey, now: NetworkInstant) -> [Action] {
        for topic in control.graft { takeGraft(topic, from: key, now: now) }
        let named = control.prune.flatMap { takePrune($0, from: key, now: now) }
        let meeting = named.isEmpty ? [] : [Action.meet(Array(named.prefix(PubSubLimits.exchangedPeers)), from: key)]
        if !control.idontwant.isEmpty { note(control.idontwant, heldBy: key, now: now) }
        guard score(key) >= scores.parameters.gossipThreshold else { return meeting }
        for entry in control.ihave { ask(for: entry, of: key, now: now) }
        return control.iwant.isEmpty ? meeting : meeting + give(control.iwant, to: key)
    }

    // MARK: IDONTWANT

    /// A peer has these, and wants them from nobody.
    private mutating func note(_ ids: [PubSubMessage.ID], heldBy key: PeerKey, now: NetworkInstant) {
        let count = budgets[key]?.takeRefusal(of: ids.count) ?? 0
        for id in ids.prefix(count) {
            let known = seen.update(id) { record -> PubSubMessage? in
                record.held(by: key)
                return record.message
            }
            if let known {
                if let message = known { served.shows(message, key, now: now) }
            } else if !seen.isPast(id) {
                held.note(id, by: key)
            }
        }
    }

    // MARK: IHAVE and IWANT

    private mutating func ask(for entry: PubSubControl.Announcement, of key: PeerKey, now: NetworkInstant) {
        guard isSubscribed(to: entry.topic) else { return }
        let count = budgets[key]?.takeAnnouncement(of: entry.ids.count) ?? 0
        // In the mesh what is announced is large, and does not come unasked; what others have may be on its way through it. In a
        // small topic the author gives or offers each message itself.
        let isOffered =
            topics[entry.topic].map { $0.mesh.contains(key) || $0.isSmall && $0.listeners.contains(key) } ?? false
        for id in entry.ids.prefix(count) {
            let isKnown = seen.update(id) { $0.held(by: key, offered: true) } != nil
            if !isKnown, !seen.isPast(id), promises.announced(id, by: key, mayCome: !isOffered, now: now) {
                ask(.init(id: id, peer: key))
            }
        }
    }

    mutating func ask(_ request: GossipPromises.Request) {
        tell(request.peer) { $0.control.iwant.append(request.id) }
    }

    /// Asks for what was waited for in vain.
    mutating func askForAnnounced(now: NetworkInstant) {
        for request in promises.due(now: now, among: company(now: now)) { ask(request) }
    }

    private mutating func give(_ ids: [PubSubMessage.ID], to key: PeerKey) -> [Action] {
        let count = budgets[key]?.takeRequest(of: ids.count) ?? 0
        var actions: [Action] = []
        for id in ids.prefix(count) {
            guard let record = seen[id], let message = record.message, record.state != .rejected,
                budgets[key]?.takeTransmission(of: message) ?? false
            else { continue }
            // It says that it has it not, whatever it was sent or said, or sent itself, before.
            // But who has sent what may still turn out to be bad answers for it.
            let isGood = record.state == .verified && !record.isJudging
            _ = seen.update(id) { record in
                record.holders.removeAll { $0.peer == key && (isGood || !$0.hasSent) }
            }
            actions += pass(message, to: [key])
        }
        return actions
    }

    func company(now: NetworkInstant) -> GossipPromises.Company {
        GossipPromises.Company(
            isHere: { [peers] in peers[$0] != nil }, isSending: { [peers] in (peers[$0]?.sendsUntil ?? now) > now })
    }

    mutating func lookAtPromises(now: NetworkInstant) {
        let (broken, again) = promises.expired(now: now, among: company(now: now))
        for key in broken.sorted() { if let peer = peers[key] { scores.misbehaved(peer.nodeID) } }
        for request in again { ask(request) }
    }

    /// Tells some who are not in the mesh what has come of late.
    mutating func gossip(_ topic: Topic, now: NetworkInstant) {
        guard let state = topics[topic], state.listeners.count > state.mesh.count else { return }
        let others = state.listeners.filter { key in
            !state.mesh.contains(key) && !state.fanout.contains(key)
                && score(key) >= scores.parameters.gossipThreshold
        }
        guard !others.isEmpty else { return }
        let since = NetworkInstant(
            nanoseconds: now.nanoseconds - min(now.nanoseconds, PubSubLimits.gossipTime.clampedNanoseconds))
        let ids = cache.recent(topic, since: since, limit: PubSubLimits.ihaveIDsPerHeartbeat)
        guard !ids.isEmpty else { return }
        let share = Int((Double(others.count) * PubSubLimits.gossipFactor).rounded(.up))
        for key in others.shuffled(using: &random).prefix(max(PubSubLimits.lazyDegree, share)) {
            tellOf(ids.filter { !(seen[$0]?.isHeld(by: key) ?? true) }, topic, key)
        }
    }

    /// A peer is back that was gone: it is told what has come meanwhile, and a little before.
    mutating func recall(_ topic: Topic, since: NetworkInstant, for key: PeerKey) {
        if let page = recalls.begin(topic, since: since, for: key, in: cache) { tellOf(page.ids, topic, key) }
    }

    mutating func goOnRecalling() {
        for key in untold.keys.sorted() {
            for (topic, ids) in (untold[key] ?? [:]).sorted(by: { $0.key.bytes.lexicographicallyPrecedes($1.key.bytes) }
            ) {
                tell(key) { $0.control.announce(ids, in: topic) }
            }
        }
        untold = [:]
        for page in recalls.heartbeat(in: cache) { tellOf(page.ids, page.topic, page.peer) }
    }

    /// Not everything that was to be sent to a peer since `time` was: it takes no more than it has taken.
    package mutating func fellBehind(_ key: PeerKey, since time: NetworkInstant, now: NetworkInstant) -> [Action] {
        for topic in (interests[key] ?? []).sorted(by: { $0.bytes.lexicographicallyPrecedes($1.bytes) }) {
            recall(topic, since: time, for: key)
        }
        return takeOutput(now: now)
    }

    /// Tells a peer of messages that it has not sent itself. Who announces what he then does not give breaks a promise, and
    /// what is forged nobody gives: of what came from its author it is told when that is verified.
    private mutating func tellOf(_ ids: [PubSubMessage.ID], _ topic: Topic, _ key: PeerKey) {
        guard let nodeID = peers[key]?.nodeID else { return }
        var verified: [PubSubMessage.ID] = []
        for id in ids {
            guard let record = seen[id], let message = record.message, message.author != nodeID, !record.isJudging,
                !record.holders.contains(where: { $0.peer == key && $0.hasSent })
            else { continue }
            switch record.state {
            case .verified: verified.append(id)
            case .fromAuthor:
                _ = seen.update(id) { record in
                    if !record.untold.contains(key) { record.untold.append(key) }
                }
                toVerify += verifyForOthers(message)
            case .unverified, .rejected: break
            }
        }
        if !verified.isEmpty { tell(key) { $0.control.announce(verified, in: topic) } }
    }
}
