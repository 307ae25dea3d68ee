internal import DeP2PDiscovery
internal import DeP2PIdentity
internal import DeP2PReactor

extension DHTWorld {
    /// Fills every bucket of every node with k of those that belong there, drawn at random.
    func fillTables() {
        let servers = nodes.filter { !$0.isClient }.sorted { $0.contact.key < $1.contact.key }
        for node in nodes {
            var range = servers.indices
            var length = 0
            // Those that share `length` bits with the node; the other half of them is the bucket of that number.
            while range.count > DHT.replication {
                let (own, other) = split(range, at: length, of: servers, for: node)
                introduce(draw(other), of: servers, to: node)
                range = own
                length += 1
            }
            introduce(Array(range), of: servers, to: node)
            // It has been up for a while: what was looked up lately is not due.
            let own = node.contact.key
            for bucket in 0..<length + 8 {
                node.table.lookedUp(node.table.target(inBucket: bucket, using: &random), now: now)
            }
            node.table.lookedUp(own, now: now)
            for _ in 0..<NetworkSize.sampleLimit / 8 {
                let target = DHTKey.random(using: &random)
                node.size.lookedUp(target, closest: closest(to: target, in: servers))
            }
            carryOut([] as [RoutingTable.Action], at: node)
        }
    }

    private func split(
        _ range: Range<Int>, at length: Int, of servers: [DHTWorldNode], for node: DHTWorldNode
    ) -> (own: Range<Int>, other: Range<Int>) {
        // The first in the range whose bit of that number is set.
        var (low, high) = (range.lowerBound, range.upperBound)
        while low < high {
            let middle = (low + high) / 2
            if servers[middle].contact.key.bit(length) { high = middle } else { low = middle + 1 }
        }
        let (zeros, ones) = (range.lowerBound..<low, low..<range.upperBound)
        return node.contact.key.bit(length) ? (ones, zeros) : (zeros, ones)
    }

    private func draw(_ range: Range<Int>) -> [Int] {
        guard range.count > DHT.replication else { return Array(range) }
        var chosen: Set<Int> = []
        while chosen.count < DHT.replication {
            chosen.insert(range.lowerBound + Int(random.next() % UInt64(range.count)))
        }
        return chosen.sorted()
    }

    private func introduce(_ indexes: [Int], of servers: [DHTWorldNode], to node: DHTWorldNode) {
        for index in indexes where servers[index].index != node.index {
            // As if it had answered within the last interval, so that the checks do not come all at once.
            _ = node.table.answered(servers[index].contact, subnet: servers[index].subnet, now: now)
        }
    }

    /// The nearest of a sorted list, without looking at all of it: those around where the key would stand have the longest
    /// prefixes in common with it.
    private func closest(to key: DHTKey, in servers: [DHTWorldNode]) -> [DHTContact] {
        var range = servers.indices
        var length = 0
        while range.count > 4 * DHT.replication {
            var (low, high) = (range.lowerBound, range.upperBound)
            while low < high {
                let middle = (low + high) / 2
                if servers[middle].contact.key.bit(length) { high = middle } else { low = middle + 1 }
            }
            let part = key.bit(length) ? low..<range.upperBound : range.lowerBound..<low
            guard part.count >= DHT.replication else { break }
            range = part
            length += 1
        }
        let nearest = range.map { ($0, servers[$0].contact.key.distance(to: key)) }.sorted { $0.1 < $1.1 }
        return nearest.prefix(DHT.replication).map { servers[$0.0].contact }
    }

    /// Each server has heard of the next one, and each client of one.
    func linkRing() {
        let servers = nodes.filter { !$0.isClient }
        for (place, node) in servers.enumerated() {
            let next = servers[(place + 1) % servers.count]
            carryOut(node.table.heard(of: next.contact, subnet: next.subnet), at: node)
        }
        for node in nodes where node.isClient {
            let known = servers[Int(random.next() % UInt64(servers.count))]
            carryOut(node.table.heard(of: known.contact, subnet: known.subnet), at: node)
        }
    }
}
