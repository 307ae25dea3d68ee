package import DeP2PDiscovery
internal import DeP2PIdentity
internal import DeP2PReactor

extension DHTWorld {
    /// Identities next to a key, nearer than any honest node, each in a subnet of its own: they join as everybody does.
    package func crowd(_ key: DHTKey, count: Int, conduct: DHTWorldNode.Conduct) {
        for _ in 0..<count {
            let near = key.random(sharing: 24 + Int(random.next() % 16), using: &random)
            join(append(isClient: false, conduct: conduct, key: near))
        }
    }

    /// Identities anywhere, all of them in a few subnets, that make themselves known to everybody whom they can find.
    package func floodTables(count: Int, subnets: Int) {
        for number in 0..<count {
            let ip = IPAddress(v4: 0x0801_0000 + UInt32(number % subnets) << 8 + UInt32(number / subnets % 256))
            let node = append(isClient: false, conduct: .withhold, ip: ip)
            join(node)
            for _ in 0..<50 {
                let victim = nodes[Int(random.next() % UInt64(nodes.count))]
                guard victim.isUp, !victim.isClient, victim.conduct == .honest else { continue }
                carryOut(victim.table.heard(of: node.contact, subnet: node.subnet), at: victim)
            }
        }
    }

    /// Fills the stores of the nodes nearest to a key by identities of as many subnets as that takes and one more, each of
    /// which stores as much as it may, all of it nearer to the node than the key is.
    package func floodStores(around key: DHTKey) {
        for contact in trueClosest(to: key) {
            guard let node = indexes[contact.key].map({ nodes[$0] }) else { continue }
            for number in 0..<RecordStore.limit / RecordStore.perPublisher + 2 {
                let subnet = UInt32(number * RecordStore.perPublisher / RecordStore.perSubnet)
                flood(node, from: IPAddress(v4: 0x0802_0000 + subnet << 8 + UInt32(number % 256)))
            }
        }
    }

    private func flood(_ node: DHTWorldNode, from ip: IPAddress) {
        let greedy = contact(at: ip)
        let publisher = RecordStore.Publisher(greedy.nodeID, subnet: Subject(ip).subnet)
        var refusals = 0
        // One that is refused tries a few times more.
        for _ in 0..<RecordStore.perPublisher where refusals < 4 {
            let near = node.contact.key.random(sharing: 30, using: &random)
            let isStored =
                (try? node.store.store(provider: greedy, of: near, from: publisher, reach: nil, now: now)) != nil
            refusals += isStored ? 0 : 1
        }
    }

    /// The largest share of an honest node's table that lies in the subnets of ``floodTables(count:subnets:)``.
    package func largestFloodedShare() -> (entries: Int, table: Int) {
        var worst = (entries: 0, table: 1)
        for node in nodes where node.isUp && node.conduct == .honest {
            let contacts = node.table.contacts
            let entries = contacts.count { contact in
                contact.subnets.contains { subnet in
                    if case .network(let ip) = subnet { ip.low >> 16 == 0x0801 } else { false }
                }
            }
            if entries > worst.entries { worst = (entries, contacts.count) }
        }
        return worst
    }

    /// Those of the liars that are nearest to a key.
    func accomplices(nearestTo key: DHTKey) -> [DHTContact] {
        if liars.isEmpty || liarCount != nodes.count {
            liars = nodes.filter { $0.conduct == .lie }.map(\.contact)
            liarCount = nodes.count
        }
        // Sorting all of them for each answer would be most of what a run costs.
        var nearest: [(contact: DHTContact, distance: XORDistance)] = []
        for contact in liars {
            let distance = contact.key.distance(to: key)
            if nearest.count >= Self.answerCount, let last = nearest.last, last.distance < distance { continue }
            let place = nearest.firstIndex { $0.distance > distance } ?? nearest.count
            nearest.insert((contact, distance), at: place)
            nearest.removeLast(max(nearest.count - Self.answerCount, 0))
        }
        return nearest.map(\.contact)
    }
}
