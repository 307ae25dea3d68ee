import DeP2PSimulation
import Testing

@testable import DeP2PDiscovery

@Suite struct NetworkSizeTests {
    private var random = SplitMix64(seed: 5)

    @Test(arguments: [100, 500, 2_000])
    mutating func isNearTheTruth(count: Int) throws {
        let nodes = try random.contacts(count)
        var size = NetworkSize()
        for _ in 0..<NetworkSize.sampleLimit {
            let target = DHTKey.random(using: &random)
            size.lookedUp(target, closest: nodes.nearest(to: target, 20))
        }
        let estimate = try #require(size.estimate)
        #expect(abs(estimate / Double(count) - 1) < 0.25)
        let reach = try #require(size.reach)
        let targets = (0..<50).map { _ in DHTKey.random(using: &random) }
        let within = targets.map { target in nodes.count { $0.key.distance(to: target) < reach } }
        #expect((15...26).contains(within.reduce(0, +) / within.count))
        let bits = size.regionBits
        #expect((20.0..<40).contains(estimate / Double(1 << bits)))
    }

    @Test mutating func fewSamplesSayNothing() throws {
        let nodes = try random.contacts(50)
        var size = NetworkSize()
        #expect(size.estimate == nil && size.reach == nil && size.regionBits == 0)
        for _ in 1..<NetworkSize.fewestSamples {
            let target = DHTKey.random(using: &random)
            size.lookedUp(target, closest: nodes.nearest(to: target, 20))
        }
        // A lookup that found too few is no sample.
        for _ in 0..<10 { size.lookedUp(nodes[0].key, closest: Array(nodes.prefix(NetworkSize.depth - 1))) }
        #expect(size.estimate == nil)
    }

    /// Forty identities next to one key, which is looked up again and again, but less often than all others together.
    @Test mutating func aCrowdRoundOneKeyDoesNotMoveIt() throws {
        let nodes = try random.contacts(1_000)
        let victim = DHTKey.random(using: &random)
        let crowd = try (0..<40).map { _ in
            try random.contact(key: victim.random(sharing: 40, using: &random))
        }
        var size = NetworkSize()
        for round in 0..<200 {
            let target = round % 3 == 0 ? victim : DHTKey.random(using: &random)
            size.lookedUp(target, closest: (nodes + crowd).nearest(to: target, 20))
        }
        let estimate = try #require(size.estimate)
        #expect((600.0..<1_800).contains(estimate))
    }

    /// The bound of what is kept: what came before the last samples no longer counts.
    @Test mutating func onlyTheLastSamplesCount() throws {
        let (few, many) = (try random.contacts(100), try random.contacts(1_000))
        var size = NetworkSize()
        for nodes in [few, many] {
            for _ in 0..<NetworkSize.sampleLimit {
                let target = DHTKey.random(using: &random)
                size.lookedUp(target, closest: nodes.nearest(to: target, 20))
            }
        }
        let estimate = try #require(size.estimate)
        #expect(estimate > 600)
    }
}
