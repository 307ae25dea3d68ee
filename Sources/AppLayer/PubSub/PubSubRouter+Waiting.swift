internal import DeP2PIdentity
internal import DeP2PReactor
internal import DequeModule

// What waits to be verified, or judged, and on whose account.
extension PubSubRouter {
    /// A peer may have as much waiting as there is room left, and at most its own limit: some leave room to others.
    func room(of nodeID: NodeID) -> Int {
        let most = min(PubSubLimits.unverifiedBytes - unverifiedBytes, PubSubLimits.unverifiedBytesPerPeer)
        return most - unverified[nodeID, default: 0]
    }

    mutating func book(_ message: PubSubMessage, _ booking: Booking) {
        unverified[booking.nodeID, default: 0] += message.encoded.count
        unverifiedBytes += message.encoded.count
        bookings[message.id] = booking
    }

    /// What came from its author himself, and is delivered, is verified before others get it or hear of it. It waits in his
    /// room; where there is none, until there is some: he may say more than can be verified meanwhile.
    mutating func verifyForOthers(_ message: PubSubMessage) -> [Action] {
        guard let record = seen[message.id], record.state == .fromAuthor, !record.isVerifying else { return [] }
        let hasRoom = putOff[message.author] == nil && room(of: message.author) >= message.encoded.count
        guard hasRoom || putOffCount < PubSubLimits.historyCount else { return [] }
        _ = seen.update(message.id) { $0.isVerifying = true }
        guard hasRoom else {
            putOff[message.author, default: Deque()].append(message.id)
            putOffCount += 1
            return []
        }
        return [verification(of: message, record)]
    }

    private mutating func verification(of message: PubSubMessage, _ record: SeenMessages.Record) -> Action {
        let source = record.holders.first?.peer ?? 0
        book(message, Booking(peer: source, nodeID: message.author, isDelivered: true))
        return .verify(message, from: source)
    }

    /// What was forgotten while it waited is known again: it goes on as if it had been judged in time.
    mutating func remember(_ message: PubSubMessage, isJudging: Bool) {
        guard seen[message.id] == nil, let booking = bookings[message.id], !booking.isDelivered else { return }
        var record = SeenMessages.Record(message: message, state: isJudging ? .verified : .unverified)
        (record.isVerifying, record.isJudging) = (!isJudging, isJudging)
        record.holders = [SeenMessages.Holder(peer: booking.peer, hasSent: true)]
        seen.insert(message.id, record)
    }

    /// It waits no longer: there is room for what there was none for.
    mutating func release(_ message: PubSubMessage, now: NetworkInstant) {
        guard let nodeID = bookings.removeValue(forKey: message.id)?.nodeID else { return }
        unverifiedBytes -= message.encoded.count
        let left = unverified[nodeID, default: 0] - message.encoded.count
        unverified[nodeID] = left > 0 ? left : nil
        for author in putOff.keys.sorted() { verifyPutOff(of: author) }
        var rooms: [PeerKey: Int] = [:]
        for key in promises.whoIsPutOff { rooms[key] = peers[key].map { room(of: $0.nodeID) } }
        if let request = promises.roomCame(now: now, { rooms[$0] }) { ask(request) }
    }

    /// In the order in which they came; those that are no longer kept are for nobody.
    private mutating func verifyPutOff(of author: NodeID) {
        while let id = putOff[author]?.first {
            if let record = seen[id], let message = record.message, record.state == .fromAuthor {
                guard room(of: author) >= message.encoded.count else { return }
                toVerify.append(verification(of: message, record))
            }
            putOff[author]?.removeFirst()
            putOffCount -= 1
        }
        putOff[author] = nil
    }
}
