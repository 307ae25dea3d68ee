internal import DeP2PDiscovery
internal import DeP2PIdentity
internal import DeP2PReactor

/// A DHT of a million nodes and more, which nobody joins and nobody leaves. Of a node it keeps its key and its place; a node is
/// its index among the keys in order, and the table that it has is drawn from that index whenever it is asked: k of each
/// bucket, at random, and always the same. So one lookup has nothing to do with another, and each runs alone.
package final class DHTStillWorld {
    private let keys: [DHTKey]
    private let places: [InternetRoundTrips.Place]
    private let trips: InternetRoundTrips
    private let loss: Double
    private let seed: UInt64
    private var random: SplitMix64

    /// - Parameter loss: of all datagrams.
    package init(nodes: Int, loss: Double, seed: UInt64, trips: InternetRoundTrips) {
        var random = SplitMix64(seed: seed)
        keys = (0..<nodes).map { _ in DHTKey.random(using: &random) }.sorted()
        places = (0..<nodes).map { _ in trips.place(using: &random) }
        (self.trips, self.loss, self.seed, self.random) = (trips, loss, seed, random)
    }

    // MARK: Looking up

    private struct Answer {
        let from: DHTContact
        let closer: [DHTContact]
        let hasRecord: Bool
    }

    /// Looks up a record anywhere from a node anywhere; everybody within reach has it.
    package func get() -> DHTOperationResult {
        let (target, origin) = (DHTKey.random(using: &random), Int(random.next() % UInt64(keys.count)))
        let reach = XORDistance(fraction: Double(DHT.replication) / Double(keys.count))
        var run = Run(
            lookup: LookupMachine(
                target: target, scope: .record(reach: reach), localKey: keys[origin],
                seeds: closest(to: target, of: origin), now: NetworkInstant(nanoseconds: 0)))
        carryOut(run.lookup.start(now: run.now), from: origin, reach: reach, &run)
        while !run.lookup.isFinished {
            run.now = min(run.events.earliest() ?? .distantFuture, run.lookup.wake ?? .distantFuture)
            guard let answer = run.events.popDue(at: run.now) else {
                carryOut(run.lookup.timerFired(now: run.now), from: origin, reach: reach, &run)
                continue
            }
            let weight = answer.closer.count * DHTWeight.contact + (answer.hasRecord ? DHTWeight.item : 0)
            run.count(bytes: DHTWeight.answer + weight)
            let actions = run.lookup.answered(answer.from.key, closer: answer.closer, now: run.now)
            if answer.hasRecord { return run.result(foundAt: answer.from) }
            carryOut(actions, from: origin, reach: reach, &run)
        }
        return run.result(foundAt: nil)
    }

    private struct Run {
        var lookup: LookupMachine
        var events = TimerQueue<Answer>()
        var now = NetworkInstant(nanoseconds: 0)
        /// From when on there is a connection.
        var connections: [DHTKey: NetworkInstant] = [:]
        var messages = 0
        var bytes = 0

        mutating func count(bytes: Int) {
            messages += 1
            self.bytes += bytes
        }

        func result(foundAt contact: DHTContact?) -> DHTOperationResult {
            DHTOperationResult(
                elapsed: now.duration(since: NetworkInstant(nanoseconds: 0)), isSuccess: contact != nil,
                requests: lookup.requestCount, messages: messages, bytes: bytes,
                rounds: contact.map { lookup.rounds(to: $0.key) } ?? 0, closest: [], stored: 0)
        }
    }

    private func carryOut(
        _ actions: [LookupMachine.Action], from origin: Int, reach: XORDistance, _ run: inout Run
    ) {
        for action in actions {
            switch action {
            case .dial(let contact): _ = connection(to: contact, from: origin, &run)
            case .ask(let contact):
                run.count(bytes: DHTWeight.request)
                let other = index(of: contact.key)
                let answer = Answer(
                    from: contact, closer: closest(to: run.lookup.target, of: other),
                    hasRecord: contact.key.distance(to: run.lookup.target) < reach)
                let ready = connection(to: contact, from: origin, &run)
                let instant = ready.advanced(by: flight(origin, other) + flight(other, origin))
                _ = run.events.insert(answer, at: instant)
            case .finished: break
            }
        }
    }

    /// When there is one.
    private func connection(to contact: DHTContact, from origin: Int, _ run: inout Run) -> NetworkInstant {
        if let ready = run.connections[contact.key] { return max(ready, run.now) }
        let other = index(of: contact.key)
        let ready = run.now.advanced(by: flight(origin, other) + flight(other, origin))
        run.bytes += DHTWeight.handshake
        run.connections[contact.key] = ready
        return ready
    }

    private func flight(_ from: Int, _ to: Int) -> Duration {
        trips.flight(places[from], places[to], loss: loss, using: &random)
    }

    // MARK: Tables

    /// Of the node's table those nearest to the target: of the bucket in which it lies, of those beyond it, then of the nearest
    /// before it.
    private func closest(to target: DHTKey, of node: Int) -> [DHTContact] {
        let shared = keys[node].commonPrefixLength(with: target)
        var (range, before): (Range<Int>, [Range<Int>]) = (keys.indices, [])
        while before.count < shared, range.count > 1 {
            let (own, other) = split(range, at: before.count, for: keys[node])
            before.append(other)
            range = own
        }
        var found: [Int] = []
        var depth = before.count
        // The bucket of the target, then what shares more bits with the node.
        while range.count > 1, found.count < DHT.replication || depth == shared {
            let (own, other) = split(range, at: depth, for: keys[node])
            found += draw(other, of: node, bucket: depth)
            (range, depth) = (own, depth + 1)
        }
        while found.count < DHT.replication, let bucket = before.popLast() {
            found += draw(bucket, of: node, bucket: before.count)
        }
        return found.map { ($0, keys[$0].distance(to: target)) }.sorted { $0.1 < $1.1 }.prefix(DHT.replication)
            .map { contact($0.0) }
    }

    /// Those that have the key's bit of that number, and those that do not.
    private func split(_ range: Range<Int>, at bit: Int, for key: DHTKey) -> (own: Range<Int>, other: Range<Int>) {
        var (low, high) = (range.lowerBound, range.upperBound)
        while low < high {
            let middle = (low + high) / 2
            if keys[middle].bit(bit) { high = middle } else { low = middle + 1 }
        }
        let (zeros, ones) = (range.lowerBound..<low, low..<range.upperBound)
        return key.bit(bit) ? (ones, zeros) : (zeros, ones)
    }

    private func draw(_ range: Range<Int>, of node: Int, bucket: Int) -> [Int] {
        guard range.count > DHT.replication else { return Array(range) }
        var random = SplitMix64(seed: seed ^ UInt64(node) << 8 ^ UInt64(bucket))
        var chosen: Set<Int> = []
        while chosen.count < DHT.replication {
            chosen.insert(range.lowerBound + Int(random.next() % UInt64(range.count)))
        }
        return chosen.sorted()
    }

    // MARK: Names

    private func index(of key: DHTKey) -> Int {
        var (low, high) = (0, keys.count)
        while low < high {
            let middle = (low + high) / 2
            if keys[middle] < key { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// A node in a subnet of its own, under a name that is no key's.
    private func contact(_ index: Int) -> DHTContact {
        guard let nodeID = try? NodeID(bytes: [0, 36, 8, 1, 0x12, 32] + keys[index].bytes) else {
            preconditionFailure("the protobuf of an Ed25519 key, in an identity multihash, is a NodeID")
        }
        let ip = IPAddress(v4: 0x2000_0000 + UInt32(index) << 8 + 1)
        return DHTContact(nodeID, addresses: [.quic(ip, port: 4001)], key: keys[index])
    }
}
