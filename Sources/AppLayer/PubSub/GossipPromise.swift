internal import DeP2PReactor

/// One message that others have and this node has not: who was asked for it, and who else may be; pure.
struct GossipPromise {
    /// Who announced it, and was not asked.
    struct Other {
        let peer: PubSubRouter.PeerKey
        /// Of the mesh: what he announces he announces once.
        let isNear: Bool
    }

    /// Who was asked.
    struct Asked {
        let peer: PubSubRouter.PeerKey
        /// When he has broken his promise.
        var until: NetworkInstant
        /// How often he was waited for because he was sending something.
        var waits = 0
        /// Whether he has been charged for having broken it.
        var isCharged = false
        /// Copies of his that there was no room for: he has broken nothing.
        var vain = 0
    }

    /// As many as a mesh has, of those who are in none with this node; of those who are, so many meshes'.
    static let othersLimit = PubSubLimits.mostDegree
    static let nearLimit = 4 * PubSubLimits.mostDegree

    /// On whose account it counts: who was asked last.
    private(set) var owner: PubSubRouter.PeerKey
    private(set) var others: [Other] = []
    /// In the order in which they were asked last.
    var asked: [Asked] = []
    /// How often one who had been asked was asked again, since nobody else had it.
    var rounds = 0
    /// How often nobody else was asked because who was asked was sending something.
    var waits = 0
    /// Its entry among those that were put off, likewise.
    var putOff: UInt64?
    /// Its entry in a row: those that it had before are none any more.
    var turn: UInt64 = 0

    init(owner: PubSubRouter.PeerKey) { self.owner = owner }

    func knows(_ peer: PubSubRouter.PeerKey) -> Bool {
        asked.contains { $0.peer == peer } || others.contains { $0.peer == peer }
    }

    /// - Parameter gives: who gives his place to another.
    mutating func add(_ other: Other, gives: (PubSubRouter.PeerKey) -> Bool) {
        let count = others.count { $0.isNear == other.isNear }
        if count < (other.isNear ? Self.nearLimit : Self.othersLimit) {
            others.append(other)
        } else if !gives(other.peer),
            let place = others.firstIndex(where: { $0.isNear == other.isNear && gives($0.peer) })
        {
            others[place] = other
        }
    }

    mutating func ask(_ peer: PubSubRouter.PeerKey, until: NetworkInstant) {
        owner = peer
        others.removeAll { $0.peer == peer }
        var entry = Asked(peer: peer, until: until)
        if let index = asked.firstIndex(where: { $0.peer == peer }) {
            entry = asked.remove(at: index)
            (entry.until, entry.isCharged) = (until, false)
        }
        asked.append(entry)
    }

    /// Those who are gone are forgotten.
    mutating func keep(_ isHere: (PubSubRouter.PeerKey) -> Bool) {
        others.removeAll { !isHere($0.peer) }
        asked.removeAll { !isHere($0.peer) }
    }

    /// Whom to ask of those who were not: of the mesh before the rest, but who is late behind both. Which of them is drawn: who
    /// announces it first has no place of his own.
    func next(
        isLate: (PubSubRouter.PeerKey) -> Bool, using random: inout RouterRandom
    ) -> PubSubRouter.PeerKey? {
        let inTime = others.filter { !isLate($0.peer) }
        let pools = [inTime.filter(\.isNear), inTime, others.filter(\.isNear), others]
        return pools.first { !$0.isEmpty }?.randomElement(using: &random)?.peer
    }
}
