internal import DeP2PIdentity
internal import DeP2PReactor

// The mesh of each topic: who is in it, and how it keeps its size.
extension PubSubRouter {
    /// Brings the mesh to the size that it should have (GossipSub v1.1, "Heartbeat Maintenance").
    mutating func maintainMesh(_ topic: Topic, now: NetworkInstant) {
        guard let state = topics[topic] else { return }
        for key in state.mesh where score(key) < 0 { prune(key, topic, for: PubSubLimits.pruneBackoff, now: now) }
        growMesh(topic, now: now)
        let mesh = topics[topic]?.mesh ?? []
        if !state.isSmall, mesh.count > PubSubLimits.mostDegree { shrink(topic, now: now) }
        let outbound = (topics[topic]?.mesh ?? []).count { peers[$0]?.isOutbound ?? false }
        if !state.isSmall, outbound < PubSubLimits.outboundDegree, mesh.count >= PubSubLimits.leastDegree {
            let more = candidates(topic, now: now).filter { peers[$0]?.isOutbound ?? false }
            graft(
                more.shuffled(using: &random).prefix(PubSubLimits.outboundDegree - outbound), topic, now: now)
        }
    }

    /// Fills the mesh where it has too few; also between heartbeats, when somebody comes or goes.
    mutating func growMesh(_ topic: Topic, now: NetworkInstant) {
        guard let state = topics[topic] else { return }
        if state.isSmall {
            graft(candidates(topic, now: now), topic, now: now)
        } else if state.mesh.count < PubSubLimits.leastDegree {
            let missing = PubSubLimits.degree - state.mesh.count
            graft(candidates(topic, now: now).shuffled(using: &random).prefix(missing), topic, now: now)
        }
    }

    /// Who could be in the mesh and is not.
    private func candidates(_ topic: Topic, now: NetworkInstant) -> [PeerKey] {
        guard let state = topics[topic] else { return [] }
        return state.listeners.filter { key in
            guard let peer = peers[key], !state.mesh.contains(key), scores.score(peer.nodeID) >= 0 else { return false }
            return state.backoffs[peer.nodeID] == nil
        }
    }

    private mutating func graft(_ keys: some Sequence<PeerKey>, _ topic: Topic, now: NetworkInstant) {
        for key in keys {
            enter(key, topic, now: now)
            tell(key) { $0.control.graft.append(topic) }
        }
    }

    private mutating func enter(_ key: PeerKey, _ topic: Topic, now: NetworkInstant) {
        guard let peer = peers[key], !(topics[topic]?.mesh.contains(key) ?? true) else { return }
        topics[topic]?.mesh.append(key)
        scores.grafted(peer.nodeID, topic, now: now)
    }

    /// Takes a peer out of the mesh, and says so.
    ///
    /// - Parameter isNaming: whether it is told of others that it may turn to.
    mutating func prune(
        _ key: PeerKey, _ topic: Topic, for backoff: Duration, isNaming: Bool = false, now: NetworkInstant
    ) {
        guard let peer = peers[key] else { return }
        topics[topic]?.mesh.removeAll { $0 == key }
        topics[topic]?.back(off: peer.nodeID, for: backoff, now: now)
        scores.pruned(peer.nodeID, topic)
        refuse(key, topic, for: backoff, naming: isNaming ? others(than: key, topic) : [])
    }

    private mutating func refuse(
        _ key: PeerKey, _ topic: Topic, for backoff: Duration, naming others: [ExchangedPeer] = []
    ) {
        let seconds = UInt64(backoff.components.seconds)
        tell(key) { $0.control.prune.append(PubSubControl.Prune(topic: topic, backoff: seconds, peers: others)) }
    }

    /// Some who listen too, at random; who behaves badly is neither told of anybody nor named. Whoever sends it puts in their
    /// records (``PubSubOutput/named(with:)``).
    private mutating func others(than key: PeerKey, _ topic: Topic) -> [ExchangedPeer] {
        guard score(key) >= 0, let state = topics[topic] else { return [] }
        let listeners = state.listeners.filter { $0 != key && score($0) >= 0 }
        return listeners.shuffled(using: &random).prefix(PubSubLimits.exchangedPeers).compactMap { other in
            peers[other].map { ExchangedPeer(nodeID: $0.nodeID.bytes, record: []) }
        }
    }

    /// Keeps the best and some at random, enough of them dialled by this node, so that nobody who only dials it takes all
    /// places.
    ///
    /// Half of what is too much: when a topic grows past D_hi all its members do so at once, and each is left by others as it
    /// leaves some. Who was left by too many had to wait for a backoff's end.
    private mutating func shrink(_ topic: Topic, now: NetworkInstant) {
        let mesh = (topics[topic]?.mesh ?? []).shuffled(using: &random)
        let wanted = (mesh.count + PubSubLimits.degree) / 2
        let byScore = mesh.sorted { score($0) > score($1) }
        var kept = Array(byScore.prefix(PubSubLimits.scoredDegree))
        let rest = byScore.dropFirst(PubSubLimits.scoredDegree).shuffled(using: &random)
        kept += rest.prefix(wanted - kept.count)
        let isOutbound = { [peers] (key: PeerKey) in peers[key]?.isOutbound ?? false }
        var missing = PubSubLimits.outboundDegree - kept.count(where: isOutbound)
        for key in rest where missing > 0 && isOutbound(key) && !kept.contains(key) {
            guard let victim = kept.lastIndex(where: { !isOutbound($0) }) else { break }
            kept[victim] = key
            missing -= 1
        }
        for key in mesh where !kept.contains(key) {
            prune(key, topic, for: PubSubLimits.pruneBackoff, isNaming: true, now: now)
        }
    }

    /// Where the mesh does badly, some who do better are added (GossipSub v1.1, "Opportunistic Grafting").
    mutating func graftOpportunistically(_ topic: Topic, now: NetworkInstant) {
        guard let state = topics[topic], !state.isSmall, state.mesh.count > 1 else { return }
        let ordered = state.mesh.map(score).sorted()
        let median = ordered[ordered.count / 2]
        guard median < scores.parameters.opportunisticGraftThreshold else { return }
        let better = candidates(topic, now: now).filter { score($0) > median }
        graft(better.shuffled(using: &random).prefix(2), topic, now: now)
    }

    // MARK: What peers ask

    mutating func takeGraft(_ topic: Topic, from key: PeerKey, now: NetworkInstant) {
        // Of what this node is not subscribed to it says nothing: an answer is what spam would be for.
        guard let peer = peers[key], let state = topics[topic], state.isSubscribed, !state.mesh.contains(key)
        else { return }
        if state.backoff(of: peer.nodeID, now: now) != nil {
            scores.misbehaved(peer.nodeID)
            topics[topic]?.back(off: peer.nodeID, for: PubSubLimits.pruneBackoff, now: now)
            return refuse(key, topic, for: PubSubLimits.pruneBackoff)
        }
        let isFull = !state.isSmall && state.mesh.count >= PubSubLimits.mostDegree && !peer.isOutbound
        guard scores.score(peer.nodeID) >= 0, !isFull, state.listeners.contains(key) else {
            topics[topic]?.back(off: peer.nodeID, for: PubSubLimits.pruneBackoff, now: now)
            return refuse(
                key, topic, for: PubSubLimits.pruneBackoff, naming: isFull ? others(than: key, topic) : [])
        }
        enter(key, topic, now: now)
    }

    /// - Returns: the members that it names, of a peer that is believed: once for each time that it was in the mesh.
    mutating func takePrune(
        _ entry: PubSubControl.Prune, from key: PeerKey, now: NetworkInstant
    ) -> [ExchangedPeer] {
        guard let peer = peers[key], let state = topics[entry.topic], state.isSubscribed else { return [] }
        topics[entry.topic]?.mesh.removeAll { $0 == key }
        scores.pruned(peer.nodeID, entry.topic)
        // A peer says for how long; `back(off:)` bounds it. Clamped before it is a duration.
        let longest = UInt64(PubSubLimits.longestBackoff.components.seconds)
        let backoff = entry.backoff.map { Duration.seconds(Int64(min($0, longest))) } ?? PubSubLimits.pruneBackoff
        topics[entry.topic]?.back(off: peer.nodeID, for: backoff, now: now)
        growMesh(entry.topic, now: now)
        let isBelieved = state.mesh.contains(key) && score(key) >= scores.parameters.acceptExchangeThreshold
        return isBelieved ? entry.peers : []
    }
}
