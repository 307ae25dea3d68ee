internal import DeP2PIdentity

/// Who gets an author's messages some other way than from this node, as far as that showed: pure.
///
/// In a small realm everybody is connected with everybody, and an author gives each its message itself. Who has told
/// (IDONTWANT), or shown by sending it, that it had one before this node would have passed it on, is given time to show it
/// again with the next; who lets that time pass gets it, and is given none with those that follow.
struct ServedAuthors {
    private var served: [NodeID: [PubSubRouter.PeerKey]] = [:]

    mutating func serves(_ author: NodeID, _ peer: PubSubRouter.PeerKey) {
        if let peers = served[author] {
            if !peers.contains(peer) { served[author]?.append(peer) }
            return
        }
        // Learned anew from the next messages.
        if served.count >= PubSubLimits.servedAuthors { served.removeAll() }
        served[author] = [peer]
    }

    mutating func doesNotServe(_ author: NodeID, _ peer: PubSubRouter.PeerKey) {
        served[author]?.removeAll { $0 == peer }
    }

    func isServed(_ peer: PubSubRouter.PeerKey, by author: NodeID) -> Bool {
        served[author]?.contains(peer) ?? false
    }

    mutating func forget(_ peer: PubSubRouter.PeerKey) {
        for author in served.keys { doesNotServe(author, peer) }
        served = served.filter { !$0.value.isEmpty }
    }
}
