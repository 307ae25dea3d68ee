internal import DeP2PIdentity
internal import DeP2PReactor
internal import DeP2PSessions

/// Records of the DHT: who has them, and who is to have them.
extension DHTNode {
    /// Puts under way at once.
    static let putsAtOnce = DHT.concurrency

    /// Looks for an item until those nearest to its place have answered.
    ///
    /// - Parameters:
    ///   - key: public key and salt.
    ///   - onItem: called with each item of that key that somebody has; its signature is not looked at yet.
    /// - Returns: how many nodes were asked, and how many have answered.
    package func findItem(
        _ key: [UInt8], within patience: Duration, onItem: @escaping @NetworkActor (MutableItem) -> Void
    ) async -> (asked: Int, answered: Int) {
        let lookup = DHTLookup(self, .getItem(key: key), scope: scope)
        lookup.onAnswer = { _, answer in
            if let item = answer.response.item, item.key == DHTKey(hashing: key) { onItem(item) }
        }
        let token = clock.schedule(after: patience) { lookup.stop() }
        defer { clock.cancel(token) }
        _ = await lookup.run()
        return (lookup.asked.count, lookup.answered.count)
    }

    /// Stores an item with everybody within the reach of its place, and no fewer than k.
    ///
    /// - Returns: how many have taken it.
    package func store(_ item: MutableItem) async -> Int {
        let lookup = DHTLookup(self, .getItem(key: item.publicKey + item.salt), scope: scope)
        var tokens: [DHTKey: [UInt8]] = [:]
        lookup.onAnswer = { contact, answer in tokens[contact.key] = answer.response.token }
        let closest = await lookup.run().closest.filter { tokens[$0.key]?.isEmpty == false }
        let targets = StoreMachine.targets(of: closest, key: item.key, reach: size.reach)
        var stored = 0
        for begin in stride(from: 0, to: targets.count, by: Self.putsAtOnce) {
            let batch = targets[begin..<min(begin + Self.putsAtOnce, targets.count)]
            stored += await put(item, with: Array(batch), tokens)
        }
        return stored
    }

    private func put(_ item: MutableItem, with targets: [DHTContact], _ tokens: [DHTKey: [UInt8]]) async -> Int {
        let done = Waiter<Void>()
        var (left, stored) = (targets.count, 0)
        for target in targets {
            networkTask { [self] in
                let request = DHTRequest.putItem(item, token: tokens[target.key] ?? [])
                let answer = await traced(awaiting: "storing a record") { try await self.ask(target, request) }
                if let answer, answer.response.refusal == nil { stored += 1 }
                left -= 1
                if left == 0 { done.resume(returning: ()) }
            }
        }
        // Cancelled: who is asked is asked all the same.
        try? await done.value()
        return stored
    }

    private var scope: LookupMachine.Scope {
        LookupMachine.Scope(reach: size.reach ?? .zero, nearest: DHT.replication)
    }
}
