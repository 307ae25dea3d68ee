import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import Testing

@testable import DeP2PDiscovery

@Suite struct LookupTests {
    private var random = SplitMix64(seed: 11)
    private let target: DHTKey

    init() { target = DHTKey.random(using: &random) }

    private mutating func near(_ bits: Int, at ip: IPAddress? = nil) throws -> DHTContact {
        let key = target.random(sharing: bits, using: &random)
        return try random.contact(at: ip, key: key)
    }

    private func lookup(
        _ seeds: [DHTContact], scope: LookupMachine.Scope = .target, localKey: DHTKey? = nil
    ) -> LookupMachine {
        LookupMachine(
            target: target, scope: scope, localKey: localKey, seeds: seeds.nearest(to: target, seeds.count), now: at(0))
    }

    private func asked(_ actions: [LookupMachine.Action]) -> [DHTContact] {
        actions.compactMap { if case .ask(let contact) = $0 { contact } else { nil } }
    }

    private func outcome(_ actions: [LookupMachine.Action]) -> LookupMachine.Outcome? {
        actions.lazy.compactMap { if case .finished(let outcome) = $0 { outcome } else { nil } }.first
    }

    /// Runs it to its end; whoever is asked answers at once. Returns who was asked, in order, and what came of it.
    private func run(
        _ lookup: inout LookupMachine, answer: (DHTContact) -> [DHTContact]?
    ) -> (asked: [DHTContact], outcome: LookupMachine.Outcome?) {
        var all: [DHTContact] = []
        var waiting = lookup.start(now: at(0))
        var now = 0.0
        while !waiting.isEmpty || !lookup.isFinished {
            let next = asked(waiting)
            all += next
            if let outcome = outcome(waiting) { return (all, outcome) }
            waiting = []
            now += 0.01
            for contact in next {
                if let closer = answer(contact) {
                    waiting += lookup.answered(contact.key, closer: closer, now: at(now))
                } else {
                    waiting += lookup.failed(contact.key, now: at(now))
                }
            }
            if next.isEmpty {
                guard let wake = lookup.wake else { break }
                now = max(now, Double(wake.nanoseconds) / 1e9)
                waiting += lookup.timerFired(now: wake)
            }
        }
        return (all, outcome(waiting))
    }

    /// Each node knows everybody: the second request after the first finds the nearest.
    @Test mutating func theThreeNearestEndIt() throws {
        let nodes = try random.contacts(400)
        var lookup = lookup(Array(nodes.prefix(10)))
        let target = self.target
        let (asked, outcome) = run(&lookup) { _ in nodes.nearest(to: target, 20) }
        let end = try #require(outcome)
        #expect(end.hasArrived && end.closest.prefix(3) == nodes.nearest(to: target, 3)[...])
        #expect(end.rounds == 2)
        #expect(end.requests == asked.count && asked.count <= 30)
        #expect(Set(asked).count == asked.count)
    }

    @Test mutating func nobodyToAskEndsItAtOnce() {
        var lookup = lookup([])
        #expect(outcome(lookup.start(now: at(0)))?.hasArrived == true)
        #expect(lookup.isFinished && lookup.wake == nil)
    }

    @Test mutating func noMoreThanTenAreAskedAtOnce() throws {
        var lookup = lookup(try random.contacts(40))
        let first = asked(lookup.start(now: at(0)))
        #expect(first.count == DHT.concurrency)
        // Silence gives its place away, and the answer counts all the same.
        let wake = try #require(lookup.wake)
        #expect(wake == at(LookupMachine.patience.seconds))
        let second = asked(lookup.timerFired(now: wake))
        #expect(second.count == DHT.concurrency && Set(second).isDisjoint(with: first))
        let near = try near(40)
        #expect(asked(lookup.answered(first[0].key, closer: [near], now: at(1))) == [])
        let third = second.flatMap { asked(lookup.answered($0.key, closer: [], now: at(1))) }
        #expect(third.contains(near))
    }

    @Test mutating func silenceIsAFailureInTheEnd() throws {
        let seeds = try random.contacts(3)
        var lookup = lookup(seeds)
        var actions = lookup.start(now: at(0))
        while let wake = lookup.wake { actions = lookup.timerFired(now: wake) }
        let end = try #require(outcome(actions))
        #expect(end.failures == 3 && end.closest.isEmpty)
        #expect(lookup.answered(seeds[0].key, closer: seeds, now: at(9)) == [])
    }

    @Test mutating func whoWasNotAskedCannotAnswer() throws {
        let (seeds, stranger) = (try random.contacts(2), try random.contact())
        var lookup = lookup(seeds)
        _ = lookup.start(now: at(0))
        #expect(lookup.answered(stranger.key, closer: [try near(30)], now: at(0)) == [])
        #expect(lookup.answered(seeds[0].key, closer: [], now: at(0)) == [])
        #expect(lookup.answered(seeds[0].key, closer: [try near(30)], now: at(0)) == [])
    }

    @Test mutating func neitherItselfNorItsAsker() throws {
        let (seed, own) = (try random.contact(), try near(50))
        var lookup = lookup([seed, own], localKey: own.key)
        #expect(asked(lookup.start(now: at(0))) == [seed])
        let actions = lookup.answered(seed.key, closer: [own, seed], now: at(0))
        #expect(outcome(actions)?.closest == [seed])
    }

    /// A node that answers with more and more invented ones is asked no more than the bounds allow, and the end comes.
    @Test mutating func whatIsInventedIsBounded() throws {
        var bits = 1
        var (random, target) = (self.random, self.target)
        var lookup = lookup(try self.random.contacts(20))
        let (asked, outcome) = run(&lookup) { _ in
            bits = min(bits + 1, 250)
            return (0..<200).compactMap { _ in
                // No more than a name is made.
                try? random.contact(key: target.random(sharing: bits, using: &random))
            }
        }
        #expect(asked.count <= LookupMachine.requestLimit)
        #expect(outcome?.requests == asked.count && outcome?.hasArrived == false)
    }

    @Test mutating func timeIsBounded() throws {
        var lookup = lookup(try random.contacts(LookupMachine.requestLimit))
        _ = lookup.start(now: at(0))
        var last = at(0)
        while let wake = lookup.wake {
            last = wake
            if outcome(lookup.timerFired(now: wake)) != nil { break }
        }
        #expect(last <= at(LookupMachine.timeLimit.seconds) && lookup.isFinished)
    }

    @Test func candidatesAreBounded() throws {
        var random = SplitMix64(seed: 3)
        let target = DHTKey.random(using: &random)
        var candidates = LookupCandidates(target: target)
        let all = try random.contacts(2_000)
        for contact in all { candidates.add(contact, path: 0, depth: 1, nominator: nil) }
        #expect(candidates.all.map(\.contact) == all.nearest(to: target, LookupCandidates.limit))
        for index in candidates.all.indices { candidates.update(index) { $0.state = .answered } }
        candidates.add(try random.contact(key: target), path: 0, depth: 1, nominator: nil)
        #expect(candidates.all.count == LookupCandidates.limit)
    }

    /// Three that are not there, and what else that node has named is not asked.
    @Test mutating func whoNamesTheDeadIsBelievedNoMore() throws {
        let (liar, honest) = (try near(2), try near(1))
        let dead = try (0..<20).map { _ in try near(30) }
        let alive = try near(20)
        var lookup = lookup([liar, honest, try near(1)])
        let (asked, outcome) = run(&lookup) { contact in
            if contact == liar { return dead }
            if contact == honest { return [alive] }
            return dead.contains(contact) ? nil : []
        }
        let wasted = Set(asked).intersection(dead).count
        let limit = LookupCandidates.failedNomineeLimit
        #expect(wasted >= limit && wasted < LookupMachine.pathWidth + limit)
        #expect(outcome?.closest.first == alive && outcome?.failures == wasted)
    }

    /// A server's answer may name anybody: until one of those has answered a few are asked or dialled, and then all.
    @Test mutating func ofANodeThatNamesStrangersFewAreTriedAtOnce() throws {
        let (server, named) = (try near(2), try (0..<20).map { _ in try near(30) })
        let limit = LookupCandidates.unprovenLimit
        var lookup = lookup([server], scope: .store(reach: nil))
        _ = lookup.start(now: at(0))
        func tried(_ actions: [LookupMachine.Action]) -> Set<DHTContact> {
            Set(
                actions.compactMap { action in
                    switch action {
                    case .ask(let contact), .dial(let contact): contact
                    case .finished: nil
                    }
                })
        }
        var lying = lookup
        let first = tried(lookup.answered(server.key, closer: named, now: at(0.1)))
        #expect(first.count == limit)
        let one = try #require(first.first)
        #expect(tried(lookup.answered(one.key, closer: [], now: at(0.2))).count > limit)
        // Where they are silent the next have their turn, until as many have failed as it is believed.
        _ = lying.answered(server.key, closer: named, now: at(0.1))
        let wake = try #require(lying.wake)
        #expect(tried(lying.timerFired(now: wake)).count == limit)
        for contact in first { #expect(tried(lying.failed(contact.key, now: at(3))).count <= limit) }
        #expect(lying.isFinished || lying.wake != nil)
    }

    /// Of what one server names it has few tried in all, whatever one accomplice of it answers, and the lookup ends.
    @Test mutating func ofANodeThatNamesTheSilentFewAreTriedAtAll() throws {
        for accomplices in 0...1 {
            let (server, named) = (try near(2), try (0..<20).map { _ in try near(30) })
            var lookup = self.lookup([server], scope: .store(reach: nil))
            var (tried, waiting) = (Set<DHTContact>(), [DHTContact]())
            var (time, answered) = (0.1, 0)
            func note(_ actions: [LookupMachine.Action]) {
                for action in actions {
                    switch action {
                    case .ask(let contact):
                        tried.insert(contact)
                        waiting.append(contact)
                    case .dial(let contact): tried.insert(contact)
                    case .finished: break
                    }
                }
            }
            _ = lookup.start(now: at(0))
            note(lookup.answered(server.key, closer: named, now: at(time)))
            while !lookup.isFinished, time < 60 {
                time += 0.25
                if answered < accomplices, let first = waiting.first {
                    answered += 1
                    note(lookup.answered(first.key, closer: [], now: at(time)))
                }
                if let wake = lookup.wake, wake <= at(time) { note(lookup.timerFired(now: at(time))) }
            }
            #expect(lookup.isFinished && time < 20)
            let allowed = LookupCandidates.unansweredLimit + LookupCandidates.unansweredPerAnswer * accomplices
            #expect(tried.count <= allowed + accomplices, "\(accomplices)")
        }
    }

    /// On the path of a node that names only accomplices nothing else is found; on the others it is.
    @Test mutating func accomplicesKeepOnePath() throws {
        let honest = try (0..<60).map { _ in try near(8) }
        let accomplices = try (0..<20).map { _ in try near(60) }
        let first = try near(9)
        let seeds = try [first] + (0..<9).map { _ in try near(3) }
        var lookup = lookup(seeds)
        let target = self.target
        let (_, outcome) = run(&lookup) { contact in
            contact == first || accomplices.contains(contact) ? accomplices : honest.nearest(to: target, 20)
        }
        let found = try #require(outcome).closest
        #expect(found.prefix(3).allSatisfy(accomplices.contains))
        #expect(honest.nearest(to: target, 3).allSatisfy(found.contains))
    }

    @Test mutating func aSubnetWithTooLargeAShareIsLeftOut() throws {
        let crowd = try (0..<4).map { try near(30, at: IPAddress(v4: 0x0801_0100 + UInt32($0))) }
        let few = try (0..<3).map { try near(20, at: IPAddress(v4: 0x0801_0200 + UInt32($0))) }
        #expect(LookupMachine.diverse(crowd + few) == few)
        // Those of this network have no subnet, and an answer has no end but the limit.
        let inside = try (0..<30).map { try near(20, at: IPAddress(v4: 0x0a00_0001 + UInt32($0))) }
        #expect(LookupMachine.diverse(inside) == Array(inside.prefix(LookupMachine.answerLimit)))
    }

    @Test mutating func everybodyWithinItsScopeIsAsked() throws {
        let nodes = try random.contacts(1_000)
        let sorted = nodes.nearest(to: target, 40)
        let reach = sorted[29].key.distance(to: target)
        var lookup = lookup(Array(nodes.prefix(20)), scope: .init(reach: reach, nearest: 20))
        let target = self.target
        // Each knows the half whose last bit is its own: together they know the forty nearest, alone nobody does.
        func half(_ contact: DHTContact) -> Bool { contact.key.bytes[31] & 1 == 0 }
        let halves = [true, false].map { side in nodes.filter { half($0) == side }.nearest(to: target, 20) }
        let (asked, outcome) = run(&lookup) { half($0) ? halves[0] : halves[1] }
        #expect(sorted[..<29].allSatisfy(asked.contains))
        #expect(outcome?.closest.prefix(29) == sorted[..<29])
        #expect(outcome?.hasArrived == true)
    }

    /// More next to the target than a lookup may ask at all: whoever else is within reach is asked all the same.
    @Test mutating func aCrowdRoundTheTargetLeavesOthersTheirTurn() throws {
        let crowd = try (0..<LookupMachine.requestLimit + 40).map { _ in try near(40) }
        let honest = try (0..<20).map { try near(8 + $0 / 10) }
        var lookup = lookup(try (0..<10).map { _ in try near(3) }, scope: .record(reach: .bit(7)))
        var (random, target) = (self.random, self.target)
        let (asked, _) = run(&lookup) { contact in
            if crowd.contains(contact) { return Array(crowd.shuffled(using: &random).prefix(20)) }
            return honest.nearest(to: target, 12) + crowd.shuffled(using: &random).prefix(8)
        }
        target = self.target
        #expect(asked.count <= LookupMachine.requestLimit)
        #expect(honest.nearest(to: target, 12).allSatisfy(asked.contains))
    }

    /// Whoever answers at once shortens the time that the silent hold their places; before that, and at most, it is the
    /// patience of all.
    @Test mutating func patienceGoesByTheAnswers() throws {
        var times = AnswerTimes(limit: .seconds(1), slack: 1.5)
        #expect(times.patience == .seconds(1))
        for _ in 0..<50 { times.add(.milliseconds(200)) }
        #expect(times.patience == .seconds(0.2 * 1.5))
        for _ in 0..<50 { times.add(.milliseconds(1)) }
        #expect(times.patience == AnswerTimes.least)
        for _ in 0..<50 { times.add(.seconds(4)) }
        #expect(times.patience == .seconds(1))
        #expect(AnswerTimes(limit: .seconds(1), slack: nil).patience == .seconds(1))
        let seeds = try random.contacts(40)
        var lookup = lookup(seeds, scope: .store(reach: nil))
        let first = asked(lookup.start(now: at(0)))
        _ = lookup.answered(first[0].key, closer: [], now: at(0.2))
        #expect(lookup.wake == at(0).advanced(by: .seconds(0.2 * 1.5)))
    }

    @Test mutating func stoppedItAsksNobody() throws {
        let seeds = try random.contacts(20)
        var lookup = lookup(seeds)
        let first = asked(lookup.start(now: at(0)))
        _ = lookup.answered(first[0].key, closer: [], now: at(0.1))
        #expect(outcome(lookup.stop())?.closest == [first[0]])
        #expect(lookup.answered(first[1].key, closer: [], now: at(0.2)) == [] && lookup.wake == nil)
        #expect(lookup.stop() == [])
    }

    @Test mutating func connectionsAheadOfNeedAreFew() throws {
        var lookup = lookup(try random.contacts(20))
        var dialled: [DHTContact] = []
        var waiting = lookup.start(now: at(0))
        var bits = 1
        while outcome(waiting) == nil {
            dialled += waiting.compactMap { if case .dial(let contact) = $0 { contact } else { nil } }
            let next = asked(waiting)
            waiting = []
            guard !next.isEmpty else { break }
            bits += 1
            for contact in next {
                let closer = try (0..<20).map { _ in try near(min(bits, 12)) }
                waiting += lookup.answered(contact.key, closer: bits > 12 ? [] : closer, now: at(0))
            }
        }
        #expect(Set(dialled).count == dialled.count && dialled.count <= LookupMachine.dialLimit && !dialled.isEmpty)
    }
}
