import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import Testing

@testable import DeP2PDiscovery

/// What one lookup asks, whoever answers.
@Suite struct MainlineLookupTests {
    private let start = NetworkInstant(nanoseconds: 1_000)
    private let target = MainlineID(ofItem: [UInt8](repeating: 1, count: 32))

    private func address(_ host: Int, port: UInt16 = 6_881) -> SocketAddress {
        SocketAddress(IPAddress(v4: 0x2d00_0001 + UInt32(host) << 8), port: port)
    }

    /// The smaller the number, the nearer to the target.
    private func id(_ distance: Int) throws -> MainlineID {
        let bytes = [UInt8](repeating: 0, count: 16) + [UInt8(distance >> 8), UInt8(distance & 0xff), 0, 0]
        return try #require(MainlineID(bytes: bytes)).distance(to: target)
    }

    private func contact(_ distance: Int, host: Int? = nil) throws -> MainlineContact {
        MainlineContact(try id(distance), at: address(host ?? distance))
    }

    private func lookup(_ seeds: [MainlineContact], for purpose: MainlineLookup.Purpose = .find) -> MainlineLookup {
        MainlineLookup(target: target, purpose: purpose, seeds: seeds)
    }

    private func asked(_ actions: [MainlineLookup.Action]) -> [SocketAddress] {
        actions.compactMap { if case .ask(let address, _) = $0 { address } else { nil } }
    }

    private func outcome(_ actions: [MainlineLookup.Action]) -> MainlineLookup.Outcome? {
        for case .finished(let outcome) in actions { return outcome }
        return nil
    }

    /// Each names sixteen that are nearer than any before, and so on without end.
    @Test func questionsAreBounded() throws {
        var machine = lookup(try (0..<8).map { try contact(60_000 + $0, host: $0) })
        var (waiting, count, next) = (asked(machine.start(now: start)), 0, 59_000)
        #expect(waiting.count == MainlineLookup.concurrency)
        var end: MainlineLookup.Outcome?
        while !waiting.isEmpty {
            let address = waiting.removeFirst()
            count += 1
            let named = try (0..<16).map { try contact(next - $0, host: 100 + count * 16 + $0) }
            next -= 16
            let actions = machine.answered(
                address, by: try id(next + 16), contacts: named, token: [1], now: start)
            waiting += asked(actions)
            end = end ?? outcome(actions)
        }
        #expect(count == MainlineLookup.requestLimit && end?.asked == count && machine.wake == nil)
    }

    @Test func candidatesAreBounded() throws {
        var candidates = MainlineCandidates(target: target)
        for index in 1...2 * MainlineCandidates.limit { candidates.hear(of: try contact(index), from: address(40_000)) }
        #expect(candidates.all.count == MainlineCandidates.limit)
        // Whoever fills them hides nobody who is nearer, nor whose id follows from his address.
        let nearer = try contact(0, host: 5_000)
        candidates.hear(of: nearer, from: address(40_001))
        var random = SplitMix64(seed: 4)
        let place = address(5_001)
        candidates.hear(of: MainlineContact(.random(at: place.ip, using: &random), at: place), from: address(40_001))
        candidates.hear(of: try contact(60_000, host: 5_002), from: address(40_001))
        #expect(candidates.all.count == MainlineCandidates.limit && candidates[address(5_002)] == nil)
        #expect(candidates[nearer.address] != nil && candidates[place]?.isVerified == true)
        #expect(candidates[address(MainlineCandidates.limit)] == nil)
    }

    @Test func eachNetworkHasAFewPlaces() throws {
        var candidates = MainlineCandidates(target: target)
        let host = { (number: UInt32, port: UInt16) in SocketAddress(IPAddress(v4: 0x2d09_0900 + number), port: port) }
        for port in 7_000..<7_050 as Range<UInt16> {
            candidates.hear(of: MainlineContact(target, at: host(1, port)), from: address(1))
        }
        #expect(candidates.all.count == 1)
        // Others name it too, and others of its network.
        for namer in 2..<40 {
            candidates.hear(of: MainlineContact(target, at: host(1, 8_000 + UInt16(namer))), from: address(namer))
            for number in 2..<9 as Range<UInt32> {
                candidates.hear(of: MainlineContact(target, at: host(number, 7_000)), from: address(namer))
            }
        }
        #expect(candidates.all.count == MainlineCandidates.perSubnet)
        #expect(candidates.all.count { $0.address.ip == host(1, 0).ip } <= MainlineCandidates.perAddress)
    }

    /// A liar has named an honest node with an id that lies elsewhere; it is asked all the same when others name it rightly.
    @Test func aWrongIDHidesNobody() throws {
        var random = SplitMix64(seed: 3)
        let honest = address(7)
        let real = MainlineID.random(at: honest.ip, using: &random)
        var candidates = MainlineCandidates(target: real)
        let elsewhere = MainlineID.random(using: &random)
        candidates.hear(of: MainlineContact(elsewhere, at: honest), from: address(1))
        candidates.hear(of: MainlineContact(real, at: honest), from: address(2))
        candidates.hear(of: MainlineContact(elsewhere, at: honest), from: address(3))
        #expect(candidates[honest]?.contact.id == real && candidates[honest]?.isVerified == true)
        // What it says itself counts.
        candidates.asked(honest, now: start)
        candidates.answered(honest, by: elsewhere, token: nil)
        #expect(candidates[honest]?.contact.id == elsewhere && candidates[honest]?.isVerified == false)
    }

    /// Of a node that has named four silent ones and none that answered no other is asked; who else named them is believed.
    @Test func whoNamesTheSilentIsBelievedNoMore() throws {
        var candidates = MainlineCandidates(target: target)
        let liar = address(900)
        for distance in 0..<8 { candidates.hear(of: try contact(distance), from: liar) }
        candidates.hear(of: try contact(7), from: address(901))
        for distance in 0..<MainlineCandidates.silentLimit {
            #expect(candidates.nearest(8).count == 8 - distance)
            candidates.asked(address(distance), now: start)
            candidates.failed(address(distance))
        }
        #expect(candidates.nearest(8).map(\.address) == [address(7)])
        // One that answers speaks for it.
        candidates.asked(address(5), now: start)
        candidates.answered(address(5), by: try id(5), token: [1])
        #expect(candidates.nearest(8).count == 4)
    }

    // MARK: Entrances

    @Test func entrancesAreSoughtWhereFewAreKnownOrNobodyAnswers() throws {
        var few = lookup(try (0..<MainlineLookup.sparse - 1).map { try contact($0) })
        let first = few.start(now: start)
        #expect(first.first == .seekEntrances)
        var many = lookup(try (0..<MainlineLookup.sparse).map { try contact($0) })
        var actions = many.start(now: start)
        #expect(!actions.contains(.seekEntrances))
        for address in asked(actions) { actions = many.failed(address, now: start) }
        #expect(actions == [.seekEntrances])
        let entrances = (0..<2 * MainlineLookup.entranceLimit).map { address(1_000 + $0) }
        actions = many.found(entrances: entrances, now: start)
        #expect(actions == entrances.prefix(MainlineLookup.entranceLimit).map { .ask($0, .findNode) })
        // One answers, and is asked as any node is.
        actions = many.answered(entrances[0], by: try id(9), contacts: [], token: nil, now: start)
        #expect(actions == [.ask(entrances[0], .get)])
        #expect(many.found(entrances: entrances, now: start) == [])
    }

    @Test func withoutAnybodyItEndsAtOnce() throws {
        var machine = lookup([])
        #expect(machine.start(now: start) == [.seekEntrances])
        let last = machine.found(entrances: [], now: start)
        #expect(outcome(last)?.isSilent == true)
        var stopped = lookup([try contact(1)])
        _ = stopped.start(now: start)
        let end = stopped.stop()
        #expect(outcome(end)?.isSilent == false)
        #expect(stopped.stop() == [])
    }

    // MARK: Storing

    @Test func whoAnswersIsPutWithOnceAndInTime() throws {
        let seeds = try (0..<10).map { try contact($0) }
        var machine = lookup(seeds, for: .store)
        var (waiting, puts) = (asked(machine.start(now: start)), [SocketAddress]())
        while !waiting.isEmpty {
            let address = waiting.removeFirst()
            let own = try #require(seeds.first { $0.address == address }).id
            let actions = machine.answered(address, by: own, contacts: [], token: [2], now: start)
            waiting += asked(actions)
            puts += actions.compactMap { if case .put(let address, [2]) = $0 { address } else { nil } }
        }
        // Their ids follow from no address: only the nearest count.
        #expect(puts.count == MainlineLookup.width && machine.isPutting)
        for address in puts.prefix(5) { #expect(machine.stored(address, now: start) == []) }
        #expect(machine.stored(puts[0], now: start) == [])
        #expect(machine.refused(puts[5], now: start) == [])
        // It is stored with nobody who was not asked.
        #expect(machine.stored(address(77), now: start) == [])
        let late = try #require(machine.wake)
        #expect(late.duration(since: start) == MainlineLookup.requestTimeout)
        let actions = machine.timerFired(now: late)
        let end = try #require(outcome(actions))
        #expect(end.stored == 5 && end.answered.count == 8 && end.holders == Array(seeds.prefix(8)))
        #expect(machine.wake == nil)
    }

    @Test func whoRefusesIsAskedTheOtherQuestionOnce() throws {
        var machine = lookup([try contact(1)])
        _ = machine.start(now: start)
        let place = address(1)
        #expect(machine.refused(place, now: start) == [.ask(place, .findNode)])
        #expect(machine.refused(place, now: start) == [])
        let last = machine.found(entrances: [], now: start)
        #expect(outcome(last)?.answered.isEmpty == true)
    }
}
