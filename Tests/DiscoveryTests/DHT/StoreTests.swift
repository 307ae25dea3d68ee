import DeP2PReactor
import DeP2PSimulation
import Testing

@testable import DeP2PDiscovery

@Suite struct StoreTests {
    private var random = SplitMix64(seed: 17)

    private func puts(_ actions: [StoreMachine.Action]) -> [DHTContact] {
        actions.compactMap { if case .put(let contact) = $0 { contact } else { nil } }
    }

    @Test mutating func mostOfThemSuffice() throws {
        let targets = try random.contacts(20)
        var machine = StoreMachine(targets: targets)
        var waiting = puts(machine.start(now: at(0)))
        #expect(waiting == Array(targets.prefix(DHT.concurrency)))
        var stored = 0
        var placedAt: [Int] = []
        while let next = waiting.popLast(), stored < 16 {
            let actions = machine.stored(next.key, now: at(1))
            stored += 1
            waiting = puts(actions) + waiting
            if actions.contains(.placed(stored)) { placedAt.append(stored) }
        }
        #expect(placedAt == [15] && !machine.isFinished)
        for target in targets { _ = machine.failed(target.key, now: at(2)) }
        #expect(machine.isFinished)
    }

    @Test mutating func silenceHoldsNobodyUp() throws {
        var machine = StoreMachine(targets: try random.contacts(15))
        let first = puts(machine.start(now: at(0)))
        #expect(machine.wake == at(StoreMachine.patience.seconds))
        let rest = puts(machine.timerFired(now: at(StoreMachine.patience.seconds)))
        #expect(first.count == 10 && rest.count == 5)
        // Late as it is, it counts.
        _ = machine.stored(first[0].key, now: at(2))
        var actions: [StoreMachine.Action] = []
        while let wake = machine.wake { actions = machine.timerFired(now: wake) }
        #expect(actions == [.finished(StoreMachine.Outcome(stored: 1, failed: 14))])
        #expect(machine.stored(first[1].key, now: at(9)) == [])
    }

    @Test func nobodyIsFinishedAtOnce() {
        var machine = StoreMachine(targets: [])
        #expect(machine.start(now: at(0)) == [.finished(StoreMachine.Outcome(stored: 0, failed: 0))])
    }

    @Test mutating func everybodyWithinReachAndNoFewerThanTwenty() throws {
        let key = DHTKey.random(using: &random)
        let nodes = try random.contacts(300).nearest(to: key, 300)
        func targets(_ reach: XORDistance?) -> [DHTContact] {
            StoreMachine.targets(of: nodes, key: key, reach: reach, using: &random)
        }
        #expect(targets(nil) == Array(nodes.prefix(20)))
        #expect(targets(nodes[5].key.distance(to: key)) == Array(nodes.prefix(20)))
        #expect(targets(nodes[33].key.distance(to: key)) == Array(nodes.prefix(33)))
        // The bound: a crowd next to the key gets its part of the places, and not all of them.
        let drawn = targets(nodes[200].key.distance(to: key))
        #expect(drawn.count == StoreMachine.targetLimit && Set(drawn).count == drawn.count)
        #expect(drawn.contains { nodes[100..<200].contains($0) })
        #expect(StoreMachine(targets: nodes).wake == nil)
    }
}

@Suite struct RepublishTests {
    private var random = SplitMix64(seed: 19)

    private func regions(_ actions: [RepublishMachine.Action]) -> [RepublishMachine.Region] {
        actions.map { action in
            switch action {
            case .publish(let region): region
            }
        }
    }

    /// However many keys there are, there are no more lookups than regions.
    @Test mutating func oneLookupForEachRegion() throws {
        var machine = RepublishMachine()
        machine.setRegionBits(5)
        let keys = (0..<1_000).map { _ in DHTKey.random(using: &random) }
        for (place, key) in keys.enumerated() { #expect(machine.add(key, now: at(Double(place))) == true) }
        #expect(machine.count == 1_000)
        var published: [DHTKey] = []
        var lookups = 0
        let interval = RepublishMachine.interval.seconds
        #expect(machine.timerFired(now: at(interval - 1)) == [])
        var waiting = regions(machine.timerFired(now: at(interval + 1_000)))
        #expect(waiting.count == RepublishMachine.regionsAtOnce && machine.wake == nil)
        while let region = waiting.popLast() {
            lookups += 1
            published += region.keys
            #expect(region.keys.allSatisfy { $0.prefix(5) == region.prefix })
            waiting += regions(machine.published(region, now: at(interval + 1_000)))
        }
        #expect(lookups == 32 && published.sorted() == keys.sorted())
        #expect(machine.wake == at(2 * interval + 1_000))
    }

    @Test mutating func aRegionsScopeIsTheRegion() throws {
        let key = DHTKey.random(using: &random)
        var machine = RepublishMachine()
        machine.setRegionBits(7)
        _ = machine.add(key, now: at(0))
        let region = try #require(regions(machine.timerFired(now: at(9_999))).first)
        for _ in 0..<500 {
            let other = key.random(sharing: Int(random.next() % 16), using: &random)
            #expect((other.distance(to: key) < region.scope.reach) == (other.prefix(7) == region.prefix))
        }
    }

    @Test mutating func otherRegionsKeepTheirTime() throws {
        var machine = RepublishMachine()
        let keys = (0..<64).map { _ in DHTKey.random(using: &random) }
        for key in keys { _ = machine.add(key, now: at(0)) }
        machine.setRegionBits(3)
        #expect(machine.count == 64 && machine.wake == at(RepublishMachine.interval.seconds))
        machine.setRegionBits(0)
        let all = regions(machine.timerFired(now: at(RepublishMachine.interval.seconds)))
        #expect(all.map(\.keys) == [keys.sorted()])
    }

    @Test mutating func whatIsRemovedIsNotPublished() {
        var machine = RepublishMachine()
        let key = DHTKey.random(using: &random)
        for now in [0.0, 1] { #expect(machine.add(key, now: at(now)) == true) }
        #expect(machine.count == 1)
        machine.remove(key)
        machine.remove(key)
        #expect(machine.count == 0 && machine.wake == nil && machine.timerFired(now: at(9_999)) == [])
    }

    @Test mutating func keysAreBounded() {
        var machine = RepublishMachine()
        machine.setRegionBits(8)
        for _ in 0..<RepublishMachine.keyLimit {
            #expect(machine.add(DHTKey.random(using: &random), now: at(0)) == true)
        }
        #expect(machine.add(DHTKey.random(using: &random), now: at(0)) == false)
        #expect(machine.count == RepublishMachine.keyLimit)
    }
}
