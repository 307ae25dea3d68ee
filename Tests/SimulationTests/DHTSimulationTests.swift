import DeP2PDiscovery
import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import Testing

/// What `DeP2PBenchmarks dht` runs with ten thousand nodes and under attack, in small: a DHT's own machines under loss and churn.
@Suite struct DHTSimulationTests {
    private func experiment(seed: UInt64 = 3) -> DHTExperiment {
        var experiment = DHTExperiment()
        (experiment.settings.nodes, experiment.settings.seed) = (50, seed)
        (experiment.warmUp, experiment.span) = (.seconds(2), .seconds(10))
        (experiment.records, experiment.lookups) = (3, 24)
        return experiment
    }

    private func run(_ experiment: DHTExperiment) throws -> DHTFigures {
        experiment.run(trips: try #require(InternetRoundTrips.internet))
    }

    @Test func recordsAreFoundUnderLossAndChurn() throws {
        let figures = try run(experiment())
        #expect(figures.gets.count == 24 && DHTFigures.successShare(figures.gets) == 1)
        #expect(figures.puts.count == 3 && DHTFigures.successShare(figures.puts) == 1)
        #expect(figures.gets.allSatisfy { $0.rounds <= 4 })
        #expect(figures.overlap.reduce(0, +) / Double(figures.overlap.count) >= 17)
    }

    /// Who knows nobody but the next one finds everybody.
    @Test func aRingBecomesADHT() throws {
        var experiment = experiment()
        experiment.settings.nodes = 30
        experiment.settings.start = .ring
        experiment.warmUp = .seconds(30)
        #expect(DHTFigures.successShare(try run(experiment).gets) == 1)
    }

    /// Forty identities next to a key, nearer than any honest node, that take the record and do not tell: stored while they are
    /// there, it is found all the same.
    @Test(arguments: [DHTWorldNode.Conduct.withhold, .lie])
    func aCrowdRoundAKeyDoesNotHideIt(conduct: DHTWorldNode.Conduct) throws {
        var settings = DHTWorldSettings()
        (settings.nodes, settings.seed) = (50, 3)
        let world = DHTWorld(settings, trips: try #require(InternetRoundTrips.internet))
        let signer = IdentityKey.generate(from: RandomSource(replaying: SplitMix64(seed: 3)))
        let item = try MutableItem(by: signer, salt: [], seq: 1, value: [7])
        world.run(for: .seconds(2))
        world.crowd(item.key, count: 40, conduct: conduct)
        world.run(for: .seconds(8))
        world.put(item, from: world.anyNode()) { #expect($0.isSuccess) }
        world.run(for: .seconds(4))
        var found = 0
        for _ in 0..<20 { world.get(item.key, from: world.anyNode()) { found += $0.isSuccess ? 1 : 0 } }
        world.run(for: .seconds(8))
        #expect(found == 20)
    }

    /// What was stored before they came is found too, and neither counts for the other.
    @Test func theAttackersComeAfterOneRecordAndBeforeAnother() throws {
        var experiment = experiment()
        (experiment.attack, experiment.records, experiment.lookups) = (.withhold, 1, 12)
        experiment.settling = .seconds(8)
        let figures = try run(experiment)
        #expect(figures.puts.count == 1 && figures.laterPuts.count == 1)
        #expect(figures.gets.count == 6 && DHTFigures.successShare(figures.gets) == 1)
        #expect(figures.laterGets.count == 6 && DHTFigures.successShare(figures.laterGets) == 1)
    }

    @Test(arguments: [DHTWorldNode.Conduct.withhold, .lie])
    func aFifthOfTheServersIsTheAttackers(conduct: DHTWorldNode.Conduct) throws {
        var experiment = experiment()
        (experiment.settings.sybilShare, experiment.settings.sybils) = (0.2, conduct)
        #expect(DHTFigures.successShare(try run(experiment).gets) == 1)
    }

    /// Among very many that stay the rounds grow with the logarithm.
    @Test func tenThousandThatStayAreFewRoundsApart() throws {
        let world = DHTStillWorld(nodes: 10_000, loss: 0.05, seed: 1, trips: try #require(InternetRoundTrips.internet))
        let results = (0..<5).map { _ in world.get() }
        #expect(results.allSatisfy { $0.isSuccess && $0.rounds <= 4 })
    }

    @Test func theSameSeedGivesTheSameRun() throws {
        let rows = try [5, 5, 6].map { seed in try run(experiment(seed: seed)).rows.map { "\($0.name) \($0.value)" } }
        #expect(rows[0] == rows[1] && rows[1] != rows[2])
    }
}
