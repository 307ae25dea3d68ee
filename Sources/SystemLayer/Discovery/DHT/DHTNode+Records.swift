internal import DeP2PIdentity
internal import DeP2PReactor
internal import DeP2PSessions

/// Records of the DHT: who has them, and who is to have them.
extension DHTNode {
    /// Looks for an item until those nearest to its place have answered.
    ///
    /// - Parameters:
    ///   - key: public key and salt.
    ///   - onItem: called with each item of that key that somebody has; its signature is not looked at yet.
    /// - Returns: how many nodes were asked, and how many have answered.
    package func findItem(
        _ key: [UInt8], within patience: Duration, onItem: @escaping @NetworkActor (MutableItem) -> Void
    ) async -> (asked: Int, answered: Int) {
        let lookup = DHTLookup(self, .getItem(key: key), scope: .record(reach: size.reach))
        lookup.onAnswer = { _, answer in
            if let item = answer.response.item, item.key == lookup.target { onItem(item) }
        }
        let token = clock.schedule(after: patience) { lookup.stop() }
        defer { clock.cancel(token) }
        _ = await lookup.run()
        return (lookup.asked.count, lookup.answered.count)
    }

    /// Stores an item with everybody within the reach of its place, and no fewer than k; and every hour again, as it is, until
    /// another one of that key is stored or ``withdraw(_:)`` is called.
    ///
    /// - Returns: how many have taken it, once most have; the rest is asked all the same.
    package func store(_ item: MutableItem) async -> Int { await store(.item(item)) }

    /// Says that this node provides what a multihash stands for, as ``store(_:)`` stores an item.
    package func provide(_ multihash: [UInt8]) async -> Int { await store(.provider(key: multihash)) }

    /// Stores no more what was stored under a key: public key and salt, or a multihash. Who keeps it does so until it is over.
    package func withdraw(_ key: [UInt8]) {
        let place = DHTKey(hashing: key)
        kept[place] = nil
        republishing.note { machine, _ in machine.remove(place) }
    }

    private func store(_ record: DHTRecord) async -> Int {
        republishing.note { [weak self] machine, now in
            // Beyond the limit it is stored this once.
            if machine.add(record.place, now: now) { self?.kept[record.place] = record }
        }
        return await DHTStoring(self, record).run()
    }

    /// - Returns: nil where there is nothing that this contact may be told.
    func request(toStore record: DHTRecord, with contact: DHTContact, _ token: [UInt8]) -> DHTRequest? {
        switch record {
        case .item(let item): return .putItem(item, token: token)
        case .provider(let key):
            // It has just given the token.
            let session = connections.sessions.first { $0.remoteNodeID == contact.nodeID && $0.isOpen }
            let rule = connections.addressRule()
            let listener = session.map(rule.voucher(of:)) ?? .stranger
            let addresses = ownAddresses().filter { rule.tells($0, to: listener) }
            guard !addresses.isEmpty else { return nil }
            let own = DHTContact(connections.localNodeID, addresses: addresses)
            return .addProvider(key: key, own, token: token)
        }
    }

    // MARK: Again

    func republish(_ actions: [RepublishMachine.Action]) {
        for case .publish(let region) in actions {
            networkTask { [weak self] in
                await self?.republish(region)
                self?.republishing.handle { $0.published(region, now: $1) }
            }
        }
    }

    /// Those of a region that everybody in it was asked for are there for all of its records.
    private func republish(_ region: RepublishMachine.Region) async {
        // How large a region is says the estimate; one record is as well looked up itself.
        guard size.estimate != nil, region.keys.count > 1, let first = region.keys.first else {
            for key in region.keys {
                guard let record = kept[key] else { continue }
                _ = await DHTStoring(self, record).run()
            }
            return
        }
        let closest = await DHTLookup(self, .findPlace(first), scope: region.scope).run().closest
        for key in region.keys {
            guard let record = kept[key] else { continue }
            _ = await DHTStoring(self, record).run(with: closest)
        }
    }
}
