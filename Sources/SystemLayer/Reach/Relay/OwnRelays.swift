package import DeP2PIdentity
package import DeP2PReactor
package import DeP2PSessions

/// Any node may be reached through the relays that this node's user names, and those of its realm that it uses.
@NetworkActor
package final class OwnRelays: AddressSource {
    package nonisolated let name = "relays"
    private let peers: PeerStore
    /// Relays of the realm, the best first.
    package var ofRealm: @NetworkActor () -> [Address] = { [] }

    package init(_ peers: PeerStore) { self.peers = peers }

    package func answer(of nodeID: NodeID) -> FoundAddresses? {
        let circuits = (ofRealm() + peers.book.ownRelays).filter { $0.nodeID != nodeID }.compactMap { relay in
            // What is no address through a relay is no way.
            try? Address(components: relay.components + [.p2pCircuit])
        }
        return FoundAddresses(
            circuits.map { KnownAddress($0, origin: .derived, learnedAt: 0) },
            detail: circuits.isEmpty ? "there are none" : nil)
    }

    package func addresses(of nodeID: NodeID) -> AsyncStream<FoundAddresses> {
        let (stream, found) = FoundAddresses.makeStream()
        if let answer = answer(of: nodeID) { found.yield(answer) }
        found.finish()
        return stream
    }
}
