package import DeP2PIdentity
package import DeP2PReactor
package import DeP2PSessions

/// Finds out from the DHT where a node is: whoever there is connected to it, or was, says so.
@NetworkActor
package final class DHTPeerRouting {
    /// How long it looks.
    nonisolated static let patience = Duration.seconds(10)

    private let dht: DHTNode

    package init(_ dht: DHTNode) { self.dht = dht }

    private func look(for nodeID: NodeID, _ found: AsyncStream<FoundAddresses>.Continuation) async {
        let lookup = DHTLookup(dht, .findNode(key: nodeID.bytes), sparing: nodeID)
        lookup.onAnswer = { _, answer in
            guard let contact = answer.response.closer.first(where: { $0.nodeID == nodeID }) else { return }
            let known = contact.addresses.map { KnownAddress($0, origin: .dht, learnedAt: 0) }
            found.yield(FoundAddresses(known, from: answer.voucher))
        }
        let token = dht.clock.schedule(after: Self.patience) { lookup.stop() }
        defer { dht.clock.cancel(token) }
        _ = await lookup.run()
        found.yield(FoundAddresses([], detail: detail(lookup)))
    }

    /// Who was asked, and who has answered.
    private func detail(_ lookup: DHTLookup) -> String {
        guard !lookup.asked.isEmpty else { return "no bootstrap node is known" }
        let bootstrap = Set(dht.bootstrap.map(\.nodeID))
        let kind = lookup.asked.isSubset(of: bootstrap) ? "bootstrap node" : "node"
        return "\(lookup.answered.count) of \(lookup.asked.count) \(kind)\(lookup.asked.count == 1 ? "" : "s") answered"
    }
}

extension DHTPeerRouting: AddressSource {
    package nonisolated var name: String { "dht" }

    package func addresses(of nodeID: NodeID) -> AsyncStream<FoundAddresses> {
        let (stream, found) = FoundAddresses.makeStream()
        let task = networkTask { [weak self] in
            await self?.look(for: nodeID, found)
            found.finish()
        }
        found.onTermination = { _ in task.cancel() }
        return stream
    }
}
