package import DeP2PIdentity
internal import DeP2PReactor
internal import DeP2PSessions

/// Relays that members of the realm offer, beside those that the user names.
extension RelayClient {
    /// Offered by members: the rest of all places is the user's.
    package nonisolated static let realmLimit = 8
    /// Addresses of one.
    package nonisolated static let realmWays = 4
    /// While there is a choice, how often it is looked at anew: round trips change.
    nonisolated static let choiceInterval = Duration.seconds(60)

    /// A member of the realm relays for it.
    ///
    /// - Parameter addresses: where everybody reaches it, the best first.
    package func use(ofRealm nodeID: NodeID, at addresses: [Address]) {
        let ways = addresses.prefix(Self.realmWays).map { $0.with(nodeID: nodeID) }
        guard let first = ways.first, let index = place(for: nodeID, first) else { return }
        if relays[index].isNamed {
            for way in ways { add(way: way, to: index, as: .derived) }
        } else {
            // Where it was before it is no more.
            (relays[index].address, relays[index].offered) = (first, Array(ways))
        }
        if !relays[index].isOfRealm {
            relays[index].isOfRealm = true
            connections.protect(nodeID, for: .relay)
        }
        driver.handle { $0.restore(index, now: $1) }
        choose()
    }

    /// Where it is, was, or may be put.
    private func place(for nodeID: NodeID, _ address: Address) -> Int? {
        if let index = relays.firstIndex(where: { $0.address.nodeID == nodeID }) { return index }
        if relays.indices.count(where: isOfMembers) >= Self.realmLimit {
            // Of those that offer no more one is forgotten, whatever it granted: whoever offers and withdraws under ever
            // more names would fill the places of all.
            guard let left = relays.indices.first(where: { !relays[$0].isNamed && machine.isDismissible($0) }) else {
                return nil
            }
            relays[left].session.map { watches[$0.id]?.isReserved = false }
            driver.note { $0.dismiss(left, now: $1) }
        }
        var relay = Relay(address: address)
        relay.isNamed = false
        if let index = vacantPlace {
            relays[index] = relay
            return index
        }
        guard relays.count < ReservationMachine.relayLimit else { return nil }
        relays.append(relay)
        driver.handle { $0.add(now: $1) }
        return relays.count - 1
    }

    var vacantPlace: Int? { relays.indices.first { machine.isVacant($0) } }

    /// Whether a place is taken by what members say, or have said.
    private func isOfMembers(_ index: Int) -> Bool {
        relays[index].isOfRealm || !relays[index].isNamed && !machine.isVacant(index)
    }

    /// The member relays no more.
    package func withdraw(ofRealm nodeID: NodeID) {
        guard let index = relays.firstIndex(where: { $0.isOfRealm && $0.address.nodeID == nodeID }) else { return }
        relays[index].isOfRealm = false
        if !relays[index].isNamed {
            connections.unprotect(nodeID, for: .relay)
            driver.handle { $0.withdraw(index, now: $1) }
        }
        choose()
    }

    /// This node has left the realm, or needs no relay.
    package func withdrawAllOfRealm() {
        for nodeID in relays.filter(\.isOfRealm).compactMap(\.address.nodeID) { withdraw(ofRealm: nodeID) }
    }

    /// The relays of the realm that are used, each with the first of its ways, the best first.
    package var realmRelays: [Address] {
        machine.standing.filter { relays[$0].isOfRealm }.compactMap { ways(of: $0).first }
    }

    /// Chooses among the relays by what is known of them now; without any of the realm the user's order holds.
    func choose() {
        guard !driver.isStopped else { return }
        let known = relays.indices.filter { relays[$0].isNamed || relays[$0].isOfRealm }
        guard relays.contains(where: \.isOfRealm) else {
            choiceTimer.set(nil)
            return driver.handle { $0.prefer(RelayChoice(), now: $1) }
        }
        let candidates = known.map(candidate)
        let choice = RelayChoice(among: candidates, wanted: ReservationMachine.wanted)
        driver.handle { $0.prefer(choice, now: $1) }
        choiceTimer.set(clock.now.advanced(by: Self.choiceInterval))
    }

    private func candidate(_ index: Int) -> RelayChoice.Candidate {
        let nodeID = relays[index].address.nodeID
        let session = relays[index].session ?? nodeID.flatMap(connections.session(with:))
        relays[index].roundTrip = session?.roundTripTime ?? relays[index].roundTrip
        return RelayChoice.Candidate(
            index: index, isNamed: relays[index].isNamed, isOfRealm: relays[index].isOfRealm,
            roundTrip: relays[index].roundTrip, isHeld: machine.counts(index),
            isFailing: machine.isFailing(index, now: clock.now))
    }
}
