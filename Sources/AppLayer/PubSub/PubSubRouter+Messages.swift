internal import DeP2PIdentity
package import DeP2PReactor

// Messages: from peers and from this node, verified, delivered, passed on.
extension PubSubRouter {
    // MARK: This node's own

    /// Sends a message of this node's to everybody who is subscribed (flood publishing).
    ///
    /// - Returns: and to how many that is.
    package mutating func publish(_ message: PubSubMessage, now: NetworkInstant) -> (actions: [Action], peers: Int) {
        var record = SeenMessages.Record(message: message, state: .verified)
        let targets = receivers(of: message.topic, now: now)
        let (eager, lazy) = split(targets, message)
        record.holders = eager.map { SeenMessages.Holder(peer: $0, hasSent: false) }
        seen.insert(message.id, record)
        keep(message, now: now)
        announce(message, to: lazy)
        let send: [Action] = eager.isEmpty ? [] : [.send(message, to: eager)]
        return (send + takeOutput(now: now), targets.count)
    }

    /// Everybody who listens and deserves it. Where nobody is known to, the fan-out has been kept of those who did.
    private mutating func receivers(of topic: Topic, now: NetworkInstant) -> [PeerKey] {
        guard let state = topics[topic] else { return [] }
        let threshold = scores.parameters.publishThreshold
        let targets = state.listeners.filter { score($0) >= threshold }
        if !state.isSubscribed {
            topics[topic]?.fanout = targets
            topics[topic]?.fanoutUntil = now.advanced(by: PubSubLimits.fanoutTime)
        }
        return targets
    }

    // MARK: Peers'

    mutating func take(_ message: PubSubMessage, from key: PeerKey, now: NetworkInstant) -> [Action] {
        guard let peer = peers[key], message.author != ownID, isSubscribed(to: message.topic) else { return [] }
        promises.came(message.id)
        if let state = seen.update(
            message.id,
            { record in
                record.held(by: key, sent: true)
                return record.state
            })
        {
            if state == .rejected { scores.invalid(peer.nodeID, message.topic) }
            served.shows(message, key, now: now)
            return []
        }
        let isFromAuthor = message.author == peer.nodeID
        guard isFromAuthor || hasRoom(for: message, of: peer) else { return [] }
        var record = SeenMessages.Record(message: message, state: isFromAuthor ? .fromAuthor : .unverified)
        record.holders = [SeenMessages.Holder(peer: key, hasSent: true)]
        for other in held.take(message.id) where other != key {
            record.held(by: other)
            served.shows(message, other, now: now)
        }
        record.isVerifying = !isFromAuthor
        seen.insert(message.id, record)
        sayThatItCame(message, record)
        if isFromAuthor { return accept(message, from: key, now: now) }
        peers[key]?.unverifiedBytes += message.encoded.count
        unverifiedBytes += message.encoded.count
        return [.verify(message)]
    }

    private func hasRoom(for message: PubSubMessage, of peer: Peer) -> Bool {
        let count = message.encoded.count
        return unverifiedBytes + count <= PubSubLimits.unverifiedBytes
            && peer.unverifiedBytes + count <= PubSubLimits.unverifiedBytesPerPeer
    }

    /// IDONTWANT: its payload need not come again. Of what is forged that is true as well. What comes from its author is told of
    /// however small it is: nobody else then has to verify it, which takes longer.
    private mutating func sayThatItCame(_ message: PubSubMessage, _ record: SeenMessages.Record) {
        let size = message.encoded.count
        guard size >= PubSubLimits.announcedSize || record.state == .fromAuthor, let mesh = topics[message.topic]?.mesh
        else { return }
        for peer in mesh where !record.isHeld(by: peer) && peers[peer]?.nodeID != message.author {
            tell(peer, isHurried: size >= PubSubLimits.hurriedSize) { $0.control.idontwant.append(message.id) }
        }
    }

    /// The answer to a `verify`.
    package mutating func verified(_ message: PubSubMessage, isSigned: Bool, now: NetworkInstant) -> [Action] {
        guard let before = seen[message.id], before.isVerifying else { return [] }
        _ = seen.update(message.id) { record in
            record.isVerifying = false
            record.state = isSigned ? .verified : .rejected
            record.wanted = []
        }
        if before.state == .unverified, let source = before.holders.first?.peer {
            unverifiedBytes -= peers[source] == nil ? 0 : message.encoded.count
            peers[source]?.unverifiedBytes -= message.encoded.count
        }
        guard isSigned else {
            for holder in before.holders where holder.hasSent {
                if let peer = peers[holder.peer] { scores.invalid(peer.nodeID, message.topic) }
            }
            seen.forgetContent(message.id)
            return takeOutput(now: now)
        }
        if before.state == .unverified, let source = before.holders.first?.peer {
            return accept(message, from: source, now: now) + takeOutput(now: now)
        }
        return pass(message, to: before.wanted) + takeOutput(now: now)
    }

    /// Delivers a message and sees to it that the mesh gets it.
    private mutating func accept(_ message: PubSubMessage, from source: PeerKey, now: NetworkInstant) -> [Action] {
        if let peer = peers[source] { scores.delivered(peer.nodeID, message.topic) }
        keep(message, now: now)
        let mesh = (topics[message.topic]?.mesh ?? []).filter { peers[$0]?.nodeID != message.author }
        let isFromAuthor = peers[source]?.nodeID == message.author
        let lacking = mesh.filter { !(seen[message.id]?.isHeld(by: $0) ?? true) }
        // In a small topic the author gives or offers a large one to all; whoever lacks it nevertheless asks.
        let isOffered = isFromAuthor && isLarge(message) && (topics[message.topic]?.isSmall ?? false)
        let (eager, lazy) = isOffered ? ([], lacking) : split(lacking, message)
        announce(message, to: lazy)
        let mayWait = isFromAuthor && deferred.count < PubSubLimits.deferredCount
        let later = mayWait ? eager.filter { served.isServed($0, by: message.author) } : []
        if !later.isEmpty {
            deferred.append(
                Deferred(
                    due: now.advanced(by: PubSubLimits.forwardDelay),
                    last: now.advanced(by: PubSubLimits.longestForwardDelay), message: message, peers: later))
        }
        return [.deliver(message)] + pass(message, to: later.isEmpty ? eager : eager.filter { !later.contains($0) })
    }

    /// Sends a message to those who have it not; once it is verified.
    mutating func pass(_ message: PubSubMessage, to targets: [PeerKey]) -> [Action] {
        guard !targets.isEmpty, let record = seen[message.id], record.message != nil else { return [] }
        let lacking = targets.filter { !record.isHeld(by: $0) && peers[$0] != nil }
        guard !lacking.isEmpty else { return [] }
        switch record.state {
        case .verified:
            _ = seen.update(message.id) { record in
                for key in lacking { record.held(by: key) }
            }
            return [.send(message, to: lacking)]
        case .fromAuthor, .unverified:
            _ = seen.update(message.id) { record in
                record.wanted += lacking.filter { !record.wanted.contains($0) }
                record.isVerifying = true
            }
            return record.isVerifying ? [] : [.verify(message)]
        case .rejected: return []
        }
    }

    /// Passes on what was kept back in vain.
    mutating func forwardDeferred(now: NetworkInstant) -> [Action] {
        let due = deferred.prefix { $0.due <= now }
        guard !due.isEmpty else { return [] }
        deferred.removeFirst(due.count)
        var actions: [Action] = []
        let before = NetworkInstant(
            nanoseconds: now.nanoseconds - min(now.nanoseconds, PubSubLimits.forwardDelay.clampedNanoseconds))
        for entry in due {
            guard let record = seen[entry.message.id] else { continue }
            let lacking = entry.peers.filter { !record.isHeld(by: $0) }
            let author = entry.message.author
            // With an author who is ahead of them some are behind others, and are served nevertheless.
            let patient = lacking.filter { entry.last > now && served.isBehind($0, entry.message, since: before) }
            if !patient.isEmpty {
                deferred.append(
                    Deferred(
                        due: now.advanced(by: PubSubLimits.forwardDelay), last: entry.last, message: entry.message,
                        peers: patient))
            }
            let given = lacking.filter { !patient.contains($0) }
            for key in given { served.doesNotServe(author, key) }
            actions += pass(entry.message, to: given)
        }
        return actions
    }

    private mutating func keep(_ message: PubSubMessage, now: NetworkInstant) {
        for id in cache.append(message, now: now) { seen.forgetContent(id) }
    }

    private func isLarge(_ message: PubSubMessage) -> Bool { message.encoded.count >= PubSubLimits.lazyPushSize }

    /// Large messages go to a few; the others are told of them, and ask.
    private func split(_ targets: [PeerKey], _ message: PubSubMessage) -> (eager: [PeerKey], lazy: [PeerKey]) {
        guard isLarge(message), targets.count > PubSubLimits.eagerDegree else { return (targets, []) }
        return (Array(targets.prefix(PubSubLimits.eagerDegree)), Array(targets.dropFirst(PubSubLimits.eagerDegree)))
    }

    private mutating func announce(_ message: PubSubMessage, to peers: [PeerKey]) {
        for key in peers { tell(key) { $0.control.announce([message.id], in: message.topic) } }
    }
}
