/// How many nodes serve the DHT, from how near to a key the nearest of them lie: pure.
///
/// Among N nodes the i-th nearest to any key is expected at i/(N + 1) of the space; the N that fits those of one lookup best
/// is one sample, and the median of the last ones the estimate. Only lookups of keys that this node has drawn at random count
/// (`RoutingTable.Action.refresh` of a bucket): whoever crowds round a key that is looked up often would move the median.
package struct NetworkSize: Sendable {
    /// Samples kept.
    package static let sampleLimit = 64
    /// Fewer say nothing.
    package static let fewestSamples = 3
    /// The nearest of a lookup that are looked at: those that a lookup has asked whatever its scope.
    static let depth = 8

    private var samples: [Double] = []

    package init() {}

    /// A lookup of a key drawn at random has arrived: those of `closest` have answered, the nearest first.
    package mutating func lookedUp(_ target: DHTKey, closest: [DHTContact]) {
        let distances = closest.prefix(Self.depth).map { $0.key.distance(to: target).fraction }
        guard distances.count == Self.depth else { return }
        var (squares, products) = (0.0, 0.0)
        for (place, distance) in distances.enumerated() {
            squares += Double((place + 1) * (place + 1))
            products += Double(place + 1) * distance
        }
        guard products > 0 else { return }
        if samples.count >= Self.sampleLimit { samples.removeFirst() }
        samples.append(max(squares / products - 1, Double(Self.depth)))
    }

    /// Nodes, or `nil` while too little is known.
    package var estimate: Double? {
        guard samples.count >= Self.fewestSamples else { return nil }
        return samples.sorted()[samples.count / 2]
    }

    /// How far from a key the k-th nearest node is expected; `nil` while too little is known.
    package var reach: XORDistance? {
        estimate.map { XORDistance(fraction: min(Double(DHT.replication) / $0, 1)) }
    }

    /// The longest prefix that at least k nodes are expected to have in common: a region whose nodes hold all records in it.
    package var regionBits: Int {
        guard let estimate else { return 0 }
        let bits = (estimate / Double(DHT.replication)).exponentBits
        return min(max(bits, 0), RoutingTable.refreshDepth)
    }
}

extension Double {
    /// The whole part of its logarithm to base 2; 0 for what is less than 1.
    fileprivate var exponentBits: Int { self >= 1 && isFinite ? Int(exponent) : 0 }
}
