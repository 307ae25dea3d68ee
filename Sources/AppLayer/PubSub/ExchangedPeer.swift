/// A member that a PRUNE names, for its receiver to turn to (GossipSub v1.1, "Prune Backoff and Peer Exchange").
package struct ExchangedPeer: Equatable, Sendable {
    /// A NodeID's bytes, as they came.
    let nodeID: [UInt8]
    /// The envelope around its record; empty where there is none.
    let record: [UInt8]
}

extension PubSubOutput {
    /// The same with the records of those that it names: without one nobody can be found, and is left out.
    ///
    /// - Parameter record: the envelope around a node's record; empty where there is none for this receiver.
    func named(with record: (_ nodeID: [UInt8]) -> [UInt8]) -> PubSubOutput {
        guard rpc.control.prune.contains(where: { !$0.peers.isEmpty }) else { return self }
        var filled = rpc
        for index in filled.control.prune.indices {
            filled.control.prune[index].peers = filled.control.prune[index].peers.compactMap { peer in
                let record = record(peer.nodeID)
                return record.isEmpty ? nil : ExchangedPeer(nodeID: peer.nodeID, record: record)
            }
        }
        return PubSubOutput(filled)
    }
}
