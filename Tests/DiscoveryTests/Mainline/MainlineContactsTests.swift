import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import Testing

@testable import DeP2PDiscovery

@Suite struct MainlineContactsTests {
    private let now = NetworkInstant(nanoseconds: 1)

    private func contacts(_ count: Int, subnet: UInt32? = nil) -> [MainlineContact] {
        var random = SplitMix64(seed: 1)
        return (0..<count).map { index in
            let host = subnet.map { $0 + UInt32(index) } ?? 0x2d00_0001 + UInt32(index) << 8
            return MainlineContact(.random(using: &random), at: SocketAddress(IPAddress(v4: host), port: 6_881))
        }
    }

    private func outcome(_ holders: [MainlineContact], silent: [SocketAddress] = []) -> MainlineLookup.Outcome {
        MainlineLookup.Outcome(asked: 1, answered: holders, holders: holders, silent: silent)
    }

    @Test func theyAreBoundedAndSpread() {
        var known = MainlineContacts()
        for contact in contacts(2 * MainlineContacts.limit) { known.keep(contact) }
        #expect(known.all.count == MainlineContacts.limit)
        var crowded = MainlineContacts()
        for contact in contacts(100, subnet: 0x2d00_0001) { crowded.keep(contact) }
        #expect(crowded.all.count == MainlineContacts.perSubnet)
        var local = MainlineContacts()
        for contact in contacts(20, subnet: 0x7f00_0001) { local.keep(contact) }
        #expect(local.all.count == 20)
    }

    @Test func noFamilyDisplacesTheOther() {
        var known = MainlineContacts()
        let sixes = (0..<UInt64(2 * MainlineContacts.limit)).map { index in
            let ip = IPAddress(v6High: 0x2a01_0000_0000_0000 + index << 16, low: 1)
            return MainlineContact(contacts(1)[0].id, at: SocketAddress(ip, port: 6_881))
        }
        for contact in sixes.prefix(3) + contacts(2 * MainlineContacts.limit) { known.keep(contact) }
        #expect(known.count(.v6) == 3 && known.count(.v4) == MainlineContacts.limit)
        for contact in sixes { known.keep(contact) }
        #expect(known.count(.v6) == MainlineContacts.limit && known.count(.v4) == MainlineContacts.limit)
        #expect(known.seeds(near: sixes[0].id, .v6).allSatisfy { $0.address.ip.family == .v6 })
    }

    @Test func whoIsSilentIsForgottenWhereOthersAnswer() {
        let all = contacts(10)
        var known = MainlineContacts()
        known.learn(outcome(all), now: now)
        // Nobody answers: this machine has no network.
        known.learn(outcome([], silent: all.map(\.address)), now: now)
        #expect(known.all.count == 10 && !known.isSilent(all[0].address, now: now))
        known.learn(outcome([all[1]], silent: [all[0].address]), now: now)
        #expect(known.all.count == 9 && known.isSilent(all[0].address, now: now))
        #expect(!known.isSilent(all[0].address, now: now.advanced(by: MainlineContacts.silence)))
        known.networkChanged()
        #expect(!known.isSilent(all[0].address, now: now))
    }

    @Test func theSilentAreBounded() {
        let all = contacts(MainlineContacts.silentLimit + 11)
        var known = MainlineContacts()
        known.learn(outcome([all[0]], silent: all.dropFirst().map(\.address)), now: now)
        #expect(all.count { known.isSilent($0.address, now: now) } == MainlineContacts.silentLimit)
    }

    @Test func lookupsBeginWithTheNearestAndTheLast() {
        let all = contacts(50)
        var known = MainlineContacts()
        for contact in all { known.keep(contact) }
        let seeds = known.seeds(near: all[0].id, .v4)
        #expect(seeds.first == all[0] && seeds.count <= MainlineContacts.nearSeeds + MainlineContacts.otherSeeds)
        #expect(seeds.contains(all[49]) && Set(seeds).count == seeds.count)
        #expect(known.seeds(near: all[0].id, .v6).isEmpty)
    }
}
