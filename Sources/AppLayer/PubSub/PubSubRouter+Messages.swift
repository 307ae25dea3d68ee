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

    /// - Parameter time: milliseconds since 1970; `nil` where numbers of messages are no dates.
    mutating func take(
        _ message: PubSubMessage, from key: PeerKey, at time: UInt64?, now: NetworkInstant
    ) -> [Action] {
        guard let peer = peers[key] else { return [] }
        guard message.author != ownID, isSubscribed(to: message.topic) else {
            promises.came(message.id)
            return []
        }
        if let actions = takeAgain(message, from: key, peer.nodeID, now: now) { return actions }
        let isFromAuthor = message.author == peer.nodeID
        let isJudged = isJudged(message.topic)
        let isWanted =
            !seen.isPast(message.id) && bookings[message.id] == nil && (isFromAuthor || isNews(message, at: time))
        guard !isWanted || isFromAuthor && !isJudged || room(of: peer.nodeID) >= message.encoded.count else {
            findsNoRoom(message, from: key, now: now)
            return []
        }
        promises.came(message.id)
        guard isWanted else { return [] }
        var record = SeenMessages.Record(message: message, state: isFromAuthor ? .fromAuthor : .unverified)
        record.holders = [SeenMessages.Holder(peer: key, hasSent: true)]
        for other in held.take(message.id) where other != key {
            record.held(by: other)
            served.shows(message, other, now: now)
        }
        (record.isVerifying, record.isJudging) = (!isFromAuthor, isFromAuthor && isJudged)
        seen.insert(message.id, record)
        sayThatItCame(message, record)
        if isFromAuthor, !isJudged { return accept(message, from: key, now: now) }
        book(message, Booking(peer: key, nodeID: peer.nodeID))
        return [isFromAuthor ? .judge(message, from: key) : .verify(message, from: key)]
    }

    /// - Returns: `nil` for one that has not been here before.
    private mutating func takeAgain(
        _ message: PubSubMessage, from key: PeerKey, _ nodeID: NodeID, now: NetworkInstant
    ) -> [Action]? {
        let known = seen.update(message.id) { record -> (state: SeenMessages.State, isFirst: Bool) in
            let isFirst = !record.holders.contains { $0.peer == key && $0.hasSent }
            record.held(by: key, sent: true)
            return (record.state, record.isJudging && isFirst)
        }
        guard let known else { return nil }
        promises.came(message.id)
        if known.state == .rejected { scores.invalid(nodeID, message.topic) }
        served.shows(message, key, now: now)
        // Behind all that the first who sent it has there it might never be looked at.
        return known.isFirst ? [.judge(message, from: key)] : []
    }

    private mutating func findsNoRoom(_ message: PubSubMessage, from key: PeerKey, now: NetworkInstant) {
        let size = message.encoded.count
        let isHisRoom = size <= min(PubSubLimits.unverifiedBytes - unverifiedBytes, PubSubLimits.unverifiedBytesPerPeer)
        let other = promises.cameInVain(message.id, size, from: key, isHisRoom: isHisRoom, now: now)
        if let other { ask(.init(id: message.id, peer: other)) }
    }

    /// What its author says on a connection of its own it says now. Others have it from who knows when: what is older than what
    /// is still remembered would be news to everybody again. Nobody is charged with it, since a clock may be wrong.
    private func isNews(_ message: PubSubMessage, at time: UInt64?) -> Bool {
        time.map { MessageNumbers.isCurrent(message.sequence, at: $0) } ?? true
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
        remember(message, isJudging: false)
        guard let before = seen[message.id], before.isVerifying else {
            release(message, now: now)
            return takeOutput(now: now)
        }
        _ = seen.update(message.id) { record in
            record.isVerifying = false
            record.state = isSigned ? .verified : .rejected
            (record.wanted, record.untold) = ([], [])
        }
        if isSigned {
            for key in before.untold { untold[key, default: [:]][message.topic, default: []].append(message.id) }
        }
        let source = before.state == .unverified ? before.holders.first?.peer : nil
        if isSigned, let source, isJudged(message.topic) {
            _ = seen.update(message.id) { $0.isJudging = true }
            return [.judge(message, from: source)] + takeOutput(now: now)
        }
        release(message, now: now)
        guard isSigned else {
            for holder in before.holders where holder.hasSent {
                if let peer = peers[holder.peer] { scores.invalid(peer.nodeID, message.topic) }
            }
            seen.forgetContent(message.id)
            return takeOutput(now: now)
        }
        if let source { return accept(message, from: source, now: now) + takeOutput(now: now) }
        if isLarge(message) { offer(message) }
        return pass(message, to: before.wanted) + takeOutput(now: now)
    }

    // MARK: The application's verdict

    /// What an application thinks of a message.
    package enum Verdict: Sendable {
        case accept
        /// Nobody may pass it on: whoever does is charged with it.
        case reject
        /// It is not wanted here.
        case ignore
    }

    /// Whether the application is to judge the messages of a topic that it is subscribed to.
    package mutating func setJudged(_ topic: Topic, _ isJudged: Bool) { topics[topic]?.isJudged = isJudged }

    private func isJudged(_ topic: Topic) -> Bool { topics[topic]?.isJudged ?? false }

    /// The answer to a `judge`.
    ///
    /// - Parameter verdict: `nil` where its turn did not come: it is as if it had not come from there.
    package mutating func judged(
        _ message: PubSubMessage, _ verdict: Verdict?, from source: PeerKey, now: NetworkInstant
    ) -> [Action] {
        remember(message, isJudging: true)
        release(message, now: now)
        guard let before = seen[message.id], before.isJudging else { return takeOutput(now: now) }
        guard let verdict else {
            return notHeard(message, before.holders.filter { $0.peer != source }, now: now)
        }
        _ = seen.update(message.id) { record in
            (record.isJudging, record.wanted) = (false, [])
            if verdict == .reject { record.state = .rejected }
        }
        if verdict == .accept {
            let actions = accept(message, from: source, now: now)
            return actions + pass(message, to: before.wanted) + takeOutput(now: now)
        }
        if verdict == .reject {
            for holder in before.holders where holder.hasSent {
                if let peer = peers[holder.peer] { scores.invalid(peer.nodeID, message.topic) }
            }
        }
        seen.forgetContent(message.id)
        return [.withhold(message)] + takeOutput(now: now)
    }

    /// It is asked of those who have said that they give it: who only has it may have refused it.
    private mutating func notHeard(
        _ message: PubSubMessage, _ others: [SeenMessages.Holder], now: NetworkInstant
    ) -> [Action] {
        let givers = others.filter { ($0.hasSent || $0.hasOffered) && peers[$0.peer] != nil }
        guard !givers.isEmpty else {
            seen.forgetContent(message.id)
            return [.withhold(message)] + takeOutput(now: now)
        }
        seen.forget(message.id)
        for giver in givers where promises.announced(message.id, by: giver.peer, now: now) {
            ask(.init(id: message.id, peer: giver.peer))
        }
        return takeOutput(now: now)
    }

    /// Delivers a message and sees to it that the mesh gets it.
    private mutating func accept(_ message: PubSubMessage, from source: PeerKey, now: NetworkInstant) -> [Action] {
        if let peer = peers[source] { scores.delivered(peer.nodeID, message.topic) }
        keep(message, now: now)
        let mesh = (topics[message.topic]?.mesh ?? []).filter { peers[$0]?.nodeID != message.author }
        let isFromAuthor = peers[source]?.nodeID == message.author
        let lacking = mesh.filter { !(seen[message.id]?.isHeld(by: $0) ?? true) }
        if isLarge(message) {
            guard !lacking.isEmpty else { return [.deliver(message)] }
            // Who announces what he then does not give breaks a promise, and what is forged he does not give.
            guard seen[message.id]?.state == .verified else {
                return [.deliver(message)] + verifyForOthers(message)
            }
            offer(message)
            return [.deliver(message)]
        }
        guard isFromAuthor, deferred.takes(message) else {
            return [.deliver(message)] + pass(message, to: lacking)
        }
        var (atOnce, served, proven) = ([PeerKey](), [PeerKey](), [PeerKey]())
        for key in lacking {
            switch self.served.standing(of: key, with: message.author) {
            case .unknown: atOnce.append(key)
            case .served: served.append(key)
            case .proven: proven.append(key)
            }
        }
        deferred.append(message, to: served, isProven: false, now: now)
        deferred.append(message, to: proven, isProven: true, now: now)
        return [.deliver(message)] + pass(message, to: atOnce)
    }

    /// Sends a message to those who have it not; once it is verified.
    mutating func pass(_ message: PubSubMessage, to targets: [PeerKey]) -> [Action] {
        guard !targets.isEmpty, let record = seen[message.id], record.message != nil else { return [] }
        let lacking = targets.filter { !record.isHeld(by: $0) && peers[$0] != nil }
        guard !lacking.isEmpty else { return [] }
        guard !record.isJudging else {
            _ = seen.update(message.id) { record in record.wanted += lacking.filter { !record.wanted.contains($0) } }
            return []
        }
        switch record.state {
        case .verified:
            _ = seen.update(message.id) { record in
                for key in lacking { record.held(by: key) }
            }
            return [.send(message, to: lacking)]
        case .fromAuthor, .unverified:
            _ = seen.update(message.id) { record in record.wanted += lacking.filter { !record.wanted.contains($0) } }
            return verifyForOthers(message)
        case .rejected: return []
        }
    }

    /// Passes on what was kept back in vain.
    mutating func forwardDeferred(now: NetworkInstant) -> [Action] {
        var actions: [Action] = []
        while let entry = deferred.popDue(at: now) {
            guard let record = seen[entry.message.id] else { continue }
            let lacking = entry.peers.filter { !record.isHeld(by: $0) }
            let author = entry.message.author
            guard !lacking.isEmpty else { continue }
            // With an author who is ahead of them some are behind others, and are served nevertheless.
            let before = NetworkInstant(
                nanoseconds: now.nanoseconds - min(now.nanoseconds, entry.delay.clampedNanoseconds))
            let patient = lacking.filter { entry.last > now && served.isBehind($0, entry.message, since: before) }
            deferred.append(entry.message, to: patient, isProven: entry.isProven, last: entry.last, now: now)
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

    /// Tells those of the mesh of a large message who lack it: a copy that nobody needs takes longer than to be asked.
    private mutating func offer(_ message: PubSubMessage) {
        guard let record = seen[message.id], let mesh = topics[message.topic]?.mesh else { return }
        announce(message, to: mesh.filter { !record.isHeld(by: $0) && peers[$0]?.nodeID != message.author })
    }

    private mutating func announce(_ message: PubSubMessage, to peers: [PeerKey]) {
        for key in peers { tell(key) { $0.control.announce([message.id], in: message.topic) } }
    }
}
