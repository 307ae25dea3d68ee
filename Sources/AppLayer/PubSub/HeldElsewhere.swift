/// Messages that peers have and that have not come yet: what IDONTWANT said of them, for two heartbeats at the most; pure.
struct HeldElsewhere {
    private var young: [PubSubMessage.ID: [PubSubRouter.PeerKey]] = [:]
    private var old: [PubSubMessage.ID: [PubSubRouter.PeerKey]] = [:]
    private var counts: [PubSubRouter.PeerKey: Int] = [:]

    var count: Int { young.count + old.count }

    /// Beyond its bounds nothing is noted: the message then goes where it need not.
    mutating func note(_ id: PubSubMessage.ID, by peer: PubSubRouter.PeerKey) {
        guard counts[peer, default: 0] < PubSubLimits.heldElsewherePerPeer, count < PubSubLimits.heldElsewhere,
            !(young[id]?.contains(peer) ?? false)
        else { return }
        young[id, default: []].append(peer)
        counts[peer, default: 0] += 1
    }

    /// Who has it; it has come.
    mutating func take(_ id: PubSubMessage.ID) -> [PubSubRouter.PeerKey] {
        if young.isEmpty, old.isEmpty { return [] }
        return (young.removeValue(forKey: id) ?? []) + (old.removeValue(forKey: id) ?? [])
    }

    mutating func heartbeat(_ number: UInt64) {
        guard number % 2 == 0 else { return }
        (old, young, counts) = (young, [:], [:])
    }

    mutating func forget(_ peer: PubSubRouter.PeerKey) { counts[peer] = nil }
}
