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
        var machine = StoreMachine(key: targets[0].key, reach: nil)
        var waiting = puts(machine.lookedUp(targets, now: at(0)))
        #expect(Set(waiting) == Set(targets.nearest(to: targets[0].key, StoreMachine.concurrency)))
        var stored = 0
        var placedAt: [Int] = []
        while let next = waiting.popLast(), stored < 16 {
            let actions = machine.stored(next.key, now: at(1))
            stored += 1
            waiting = puts(actions) + waiting
            if actions.contains(.placed(stored)) { placedAt.append(stored) }
        }
        #expect(placedAt == [12] && !machine.isFinished)
        for target in targets { _ = machine.failed(target.key, now: at(2)) }
        #expect(machine.isFinished)
    }

    @Test mutating func silenceHoldsNobodyUp() throws {
        let targets = try random.contacts(StoreMachine.concurrency + 5)
        var machine = StoreMachine(key: targets[0].key, reach: .greatest)
        let first = puts(machine.lookedUp(targets, now: at(0)))
        #expect(machine.wake == at(StoreMachine.patience.seconds))
        let rest = puts(machine.timerFired(now: at(StoreMachine.patience.seconds)))
        #expect(first.count == StoreMachine.concurrency && rest.count == 5)
        // Late as it is, it counts.
        _ = machine.stored(first[0].key, now: at(2))
        var actions: [StoreMachine.Action] = []
        while let wake = machine.wake { actions = machine.timerFired(now: wake) }
        #expect(actions == [.finished(StoreMachine.Outcome(stored: 1, failed: targets.count - 1))])
        #expect(machine.stored(first[1].key, now: at(9)) == [])
    }

    /// What a lookup finds on its way is put with at once, up to a bound; most of k suffice before all are known.
    @Test mutating func doesNotWaitForTheLookup() throws {
        let targets = try random.contacts(StoreMachine.earlyLimit + 5)
        let key = DHTKey.random(using: &random)
        let far = try random.contact(key: key.random(sharing: 0, using: &random))
        var machine = StoreMachine(key: key, reach: .greatest)
        var waiting = targets.flatMap { puts(machine.found($0, now: at(0))) }
        #expect(waiting.count <= StoreMachine.concurrency && waiting.count >= 15)
        #expect(machine.found(targets[0], now: at(0)) == [])
        let early = waiting
        var placed: [StoreMachine.Action] = []
        while let next = waiting.popLast() {
            let actions = machine.stored(next.key, now: at(1))
            placed += actions.filter { if case .placed = $0 { true } else { false } }
            waiting += puts(actions)
        }
        #expect(placed == [.placed(12)] && !machine.isFinished)
        let rest = puts(machine.lookedUp(targets, now: at(2)))
        #expect(Set(rest) == Set(targets).subtracting(early))
        #expect(machine.found(far, now: at(2)) == [] && machine.lookedUp(targets, now: at(2)) == [])
    }

    @Test mutating func whoIsBeyondReachWaitsForTheEnd() throws {
        let key = DHTKey.random(using: &random)
        let nodes = try random.contacts(50).nearest(to: key, 50)
        var machine = StoreMachine(key: key, reach: nodes[3].key.distance(to: key))
        for node in nodes.dropFirst(3) { #expect(machine.found(node, now: at(0)) == []) }
        #expect(machine.found(nodes[1], now: at(0)) == [.put(nodes[1])])
        #expect(Set(puts(machine.lookedUp(nodes, now: at(1))) + [nodes[1]]) == Set(nodes.prefix(20)))
    }

    @Test func nobodyIsFinishedAtOnce() {
        var machine = StoreMachine(key: DHTKey(hashing: []), reach: nil)
        #expect(machine.lookedUp([], now: at(0)) == [.finished(StoreMachine.Outcome(stored: 0, failed: 0))])
    }

    /// Whom a record is put with when everybody answers.
    private func targets(of nodes: [DHTContact], key: DHTKey, reach: XORDistance?) -> Set<DHTContact> {
        var machine = StoreMachine(key: key, reach: reach)
        var (all, waiting) = ([DHTContact](), puts(machine.lookedUp(nodes, now: at(0))))
        while let next = waiting.popLast() {
            all.append(next)
            waiting += puts(machine.stored(next.key, now: at(1)))
        }
        #expect(machine.isFinished && Set(all).count == all.count)
        return Set(all)
    }

    @Test mutating func everybodyWithinReachAndNoFewerThanTwenty() throws {
        let key = DHTKey.random(using: &random)
        let nodes = try random.contacts(300).nearest(to: key, 300)
        #expect(targets(of: nodes.shuffled(), key: key, reach: nil) == Set(nodes.prefix(20)))
        #expect(targets(of: nodes, key: key, reach: nodes[5].key.distance(to: key)) == Set(nodes.prefix(20)))
        #expect(targets(of: nodes, key: key, reach: nodes[33].key.distance(to: key)) == Set(nodes.prefix(33)))
        #expect(targets(of: nodes, key: key, reach: .greatest).count == StoreMachine.targetLimit)
    }

    /// Two hundred next to the key, nearer than anybody honest: of the first twenty that are put with they are a few, and of
    /// all they take what the honest leave.
    @Test mutating func aCrowdNextToTheKeyHasOnePart() throws {
        let key = DHTKey.random(using: &random)
        let crowd = try (0..<200).map { _ in try random.contact(key: key.random(sharing: 40, using: &random)) }
        let honest = try (0..<20).map { place in
            try random.contact(
                key: key.random(sharing: 4 + min(place / 10 + place / 15 + place / 18, 3), using: &random))
        }
        var machine = StoreMachine(key: key, reach: .bit(3))
        let early = (crowd + honest).flatMap { puts(machine.found($0, now: at(0))) }
        #expect(early.count { crowd.contains($0) } <= 4 && early.count { honest.contains($0) } >= 15)
        let all = targets(of: crowd + honest, key: key, reach: .bit(3))
        #expect(all.count == StoreMachine.targetLimit && all.isSuperset(of: honest))
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
