import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PReach
@testable import DeP2PSessions

@Suite struct NATCheckStateMachineTests {
    typealias Observer = NATCheckBench.Observer

    /// Two nodes, each on two ports.
    static let nodes = [
        Observer(address: v4(198, 51, 100, 1, 4001)), Observer(address: v4(198, 51, 100, 1, 443)),
        Observer(address: v4(198, 51, 100, 2, 4001)), Observer(address: v4(198, 51, 100, 2, 443)),
    ]
    static let plainPair = [nodes[0], nodes[2]]
    /// One server as RFC 5780 describes it.
    static let server = [
        Observer(address: v4(198, 51, 100, 1, 3478), alternate: v4(198, 51, 100, 2, 3479))
    ]

    static let cells: [(NATCheckBench.Rule, NATCheckBench.Rule, NATMapping, NATFiltering, NATType)] = [
        (.nothing, .nothing, .endpointIndependent, .endpointIndependent, .fullCone),
        (.nothing, .address, .endpointIndependent, .addressDependent, .addressRestricted),
        (.nothing, .addressAndPort, .endpointIndependent, .addressAndPortDependent, .portRestricted),
        (.address, .nothing, .addressDependent, .endpointIndependent, .symmetric),
        (.address, .address, .addressDependent, .addressDependent, .symmetric),
        (.address, .addressAndPort, .addressDependent, .addressAndPortDependent, .symmetric),
        (.addressAndPort, .nothing, .addressAndPortDependent, .endpointIndependent, .symmetric),
        (.addressAndPort, .address, .addressAndPortDependent, .addressDependent, .symmetric),
        (.addressAndPort, .addressAndPort, .addressAndPortDependent, .addressAndPortDependent, .symmetric),
    ]

    /// Two nodes with one port each and a second one that they tell of.
    static let dep2pNodes = [
        Observer(address: v4(198, 51, 100, 1, 4001), secondPort: 50_017),
        Observer(address: v4(198, 51, 100, 2, 4001), secondPort: 50_018),
    ]

    @Test("every mapping and filtering behaviour is told apart, by nodes and by a classic server", arguments: 0..<9)
    func matrix(cell: Int) {
        let (mapping, filtering, expectedMapping, expectedFiltering, type) = Self.cells[cell]
        for observers in [Self.nodes, Self.server, Self.dep2pNodes] {
            var nat = NATCheckBench(observers, mapping: mapping, filtering: filtering)
            nat.ports = mapping == .nothing ? .preserving : .random
            let (report, elapsed) = nat.run()
            #expect(report.mapping == expectedMapping)
            #expect(report.filtering == expectedFiltering)
            #expect(report.natType == type)
            #expect(report.isTranslated == true)
            #expect(report.observations.count == observers.count)
            #expect(elapsed < .seconds(4))
        }
    }

    @Test("two observers with one port each: what depends on ports stays open")
    func twoPlainObservers() {
        var restricted = NATCheckBench(Self.plainPair, mapping: NATCheckBench.Rule.nothing, filtering: .addressAndPort)
        let first = restricted.run().report
        #expect(first.mapping == .endpointIndependent)
        #expect(first.filtering == .endpointDependent)
        #expect(first.natType == nil)

        var symmetric = NATCheckBench(Self.plainPair, mapping: .address, filtering: .nothing)
        symmetric.ports = .random
        let second = symmetric.run().report
        #expect(second.mapping == .endpointDependent)
        #expect(second.filtering == .endpointIndependent)
        #expect(second.natType == .symmetric)
    }

    @Test("one plain observer determines that there is a NAT, and nothing else")
    func oneObserver() {
        var nat = NATCheckBench([Self.nodes[0]], mapping: NATCheckBench.Rule.nothing, filtering: .nothing)
        let report = nat.run().report
        #expect(report.works == true)
        #expect(report.isTranslated == true)
        #expect(report.mapping == nil)
        #expect(report.filtering == nil)
        #expect(report.natType == nil)
        #expect(report.hairpin == nil)
    }

    @Test("one dep2p node tells what depends on ports, and leaves open what depends on addresses")
    func oneNode() {
        let node = [Self.dep2pNodes[0]]
        var strict = NATCheckBench(node, mapping: NATCheckBench.Rule.nothing, filtering: .addressAndPort)
        #expect(strict.run().report.filtering == .addressAndPortDependent)
        #expect(strict.run().report.mapping == nil)
        for filtering in [NATCheckBench.Rule.nothing, .address] {
            var open = NATCheckBench(node, mapping: NATCheckBench.Rule.nothing, filtering: filtering)
            #expect(open.run().report.filtering == nil)
        }
        var symmetric = NATCheckBench(node, mapping: .addressAndPort, filtering: .nothing)
        symmetric.ports = .random
        #expect(symmetric.run().report.mapping == .addressAndPortDependent)
    }

    @Test("silence of a second port that answers nobody says nothing of filtering by port", arguments: [true, false])
    func deadSecondPort(isAlone: Bool) {
        var nodes = Self.dep2pNodes
        for index in nodes.indices { nodes[index].hasDeadPort = true }
        for filtering in [NATCheckBench.Rule.address, .addressAndPort] {
            var nat = NATCheckBench(nodes, mapping: NATCheckBench.Rule.nothing, filtering: filtering)
            if isAlone { nat.scope = .filtering }
            #expect(nat.run().report.filtering == .endpointDependent)
        }
    }

    @Test("asked for filtering alone, it does nothing else")
    func scope() {
        for (filtering, expected) in [
            (NATCheckBench.Rule.nothing, NATFiltering.endpointIndependent), (.address, .addressDependent),
            (.addressAndPort, .addressAndPortDependent),
        ] {
            var nat = NATCheckBench(Self.dep2pNodes, mapping: NATCheckBench.Rule.nothing, filtering: filtering)
            nat.scope = .filtering
            let (report, elapsed) = nat.run()
            #expect(report.filtering == expected)
            #expect(report.mtu == nil && report.hairpin == nil && report.burstAnswered == nil)
            #expect(elapsed < .milliseconds(2100))
        }
    }

    @Test("a network that drops most of a burst is throttled; other observers are spared the burst")
    func throttling() {
        var nat = NATCheckBench(Self.dep2pNodes, mapping: NATCheckBench.Rule.nothing, filtering: .nothing)
        #expect(nat.run().report.burstLoss == 0)
        #expect(nat.run().report.isThrottled == false)
        nat.packetsAtOnce = 8
        let report = nat.run().report
        #expect(report.burstLoss == 75)
        #expect(report.isThrottled == true)
        #expect(report.natType == .fullCone)
        var plain = NATCheckBench(Self.nodes, mapping: NATCheckBench.Rule.nothing, filtering: .nothing)
        #expect(plain.run().report.burstLoss == nil)
        #expect(plain.run().report.isThrottled == nil)
    }

    @Test("no translation: open, or behind a firewall")
    func untranslated() {
        var open = NATCheckBench(Self.nodes, mapping: nil, filtering: .nothing)
        #expect(open.run().report.natType == .open)
        var firewall = NATCheckBench(Self.nodes, mapping: nil, filtering: .addressAndPort)
        let report = firewall.run().report
        #expect(report.natType == .firewall)
        #expect(report.isTranslated == false)
        #expect(report.hairpin == nil)
        #expect(report.allocation == nil)
    }

    @Test("silence says nothing about the NAT")
    func silence() {
        let silent = Self.nodes.map { Observer(address: $0.address, isSilent: true) }
        var nat = NATCheckBench(silent, mapping: NATCheckBench.Rule.nothing, filtering: .nothing)
        let (report, elapsed) = nat.run()
        #expect(report.works == nil)
        #expect(report.asked == 4)
        #expect(report.observations.isEmpty)
        #expect(report.isTranslated == nil && report.mapping == nil && report.filtering == nil && report.mtu == nil)
        #expect(elapsed == .seconds(1))
    }

    @Test("one dead observer of several costs a second and changes nothing")
    func deadObserver() {
        var observers = Self.nodes
        observers[0].isSilent = true
        var nat = NATCheckBench(observers, mapping: NATCheckBench.Rule.nothing, filtering: .addressAndPort)
        let report = nat.run().report
        #expect(report.asked == 4)
        #expect(report.observations.count == 3)
        #expect(report.natType == .portRestricted)
    }

    @Test("observers that ignore RESPONSE-PORT or CHANGE-REQUEST prove no filtering")
    func ignorantObservers() {
        for observers in [Self.nodes, Self.server] {
            let ignorant = observers.map {
                Observer(address: $0.address, alternate: $0.alternate, ignoresRequests: true)
            }
            var nat = NATCheckBench(ignorant, mapping: NATCheckBench.Rule.nothing, filtering: .addressAndPort)
            #expect(nat.run().report.filtering == nil)
        }
    }

    @Test("hairpinning is found whatever the filtering", arguments: [true, false])
    func hairpin(hairpins: Bool) {
        for filtering in [NATCheckBench.Rule.nothing, .address, .addressAndPort] {
            var nat = NATCheckBench(Self.nodes, mapping: NATCheckBench.Rule.nothing, filtering: filtering)
            nat.hairpins = hairpins
            #expect(nat.run().report.hairpin == hairpins)
        }
    }

    @Test("port allocation: kept, in sequence, random")
    func allocation() {
        var nat = NATCheckBench(Self.nodes, mapping: .addressAndPort, filtering: .addressAndPort)
        #expect(nat.run().report.allocation == .preserving)
        nat.ports = .sequential(step: 2)
        #expect(nat.run().report.allocation == .sequential(step: 2))
        nat.ports = .random
        #expect(nat.run().report.allocation == .random)
        var few = NATCheckBench(Self.plainPair, mapping: .addressAndPort, filtering: .nothing)
        few.ports = .sequential(step: 1)
        #expect(few.run().report.allocation == nil)
        // A port for each address, which every socket and observer there shares: the same ones come again.
        var shared = NATCheckBench(Self.nodes, mapping: .address, filtering: .addressAndPort)
        shared.ports = .sequential(step: 1)
        #expect(shared.run().report.allocation == nil)
        shared.ports = .random
        #expect(shared.run().report.allocation == .random)
    }

    @Test(
        "the largest packet that passes",
        arguments: [(1500, 1500), (1499, 1420), (1400, 1280), (1279, 1228), (1227, nil)])
    func packetSize(limit: Int, expected: Int?) {
        var nat = NATCheckBench(Self.nodes, mapping: NATCheckBench.Rule.nothing, filtering: .nothing)
        nat.maximumPacket = limit
        #expect(nat.run().report.mtu == expected)
    }

    @Test("a tenth of the packets lost: never a wrong answer about the mapping, filtering rarely stricter than it is")
    func loss() {
        var wrong = 0
        for seed in 1...200 {
            var nat = NATCheckBench(Self.nodes, mapping: NATCheckBench.Rule.nothing, filtering: .nothing)
            nat.loss = 0.1
            let report = nat.run(seed: UInt64(seed)).report
            #expect(report.mapping == .endpointIndependent)
            if report.filtering != .endpointIndependent { wrong += 1 }
        }
        // Both ways of three transmissions lost: 0.19³ = 0.7 %.
        #expect(wrong <= 6)
    }

    @Test("answers from nowhere, noise and foreign requests do not disturb it")
    func noise() {
        var machine = NATCheckStateMachine(
            observers: Self.nodes.map(\.address), first: NATCheckBench.first, second: NATCheckBench.second,
            random: SplitMix64(seed: 9))
        let now = NetworkInstant.milliseconds(0)
        let request = machine.start(now: now)[0].bytes
        for datagram in mutations(of: request, rounds: 2000, seed: 4) {
            _ = machine.handle(datagram, on: .first, from: Self.nodes[0].address, now: now)
        }
        #expect(machine.report.observations.isEmpty)
        #expect(machine.report.hairpin == nil)
    }

    @Test("no observer: nothing is sent and it ends at once; many: no more than the limit are asked")
    func bounds() {
        var none = NATCheckStateMachine(
            observers: [], first: NATCheckBench.first, second: NATCheckBench.second, random: SplitMix64(seed: 9))
        #expect(none.start(now: .milliseconds(0)).isEmpty)
        #expect(none.isFinished)
        let many = (1...100).map { v4(198, 51, 100, $0, 4001) } + (1...100).map { v4(198, 51, 100, $0, 4001) }
        var machine = NATCheckStateMachine(
            observers: many, first: NATCheckBench.first, second: NATCheckBench.second, random: SplitMix64(seed: 9))
        #expect(machine.start(now: .milliseconds(0)).count == NATCheckStateMachine.maximumObservers)
    }

    @Test("where no two see the same port, who sees another IP address than most is not believed")
    func lieAboutAVaryingMapping() {
        func seen(by observer: UInt8, _ mapped: SocketAddress) -> NATBehaviour.Sample {
            NATBehaviour.Sample(destination: v4(198, 51, 100, observer, 4001), mapped: mapped)
        }
        let honest = [seen(by: 1, v4(45, 20, 0, 1, 1_000)), seen(by: 2, v4(45, 20, 0, 1, 2_000))]
        let lie = seen(by: 3, v4(45, 66, 77, 88, 3_000))
        #expect(NATBehaviour.credible([lie] + honest) == honest)
        // As many against as many, or one who is on both sides: a NAT with several addresses.
        let other = seen(by: 4, v4(45, 66, 77, 88, 4_000))
        #expect(NATBehaviour.credible(honest + [lie, other]) == honest + [lie, other])
        let both = seen(by: 1, v4(45, 66, 77, 88, 5_000))
        #expect(NATBehaviour.credible(honest + [both]) == honest + [both])
    }

    @Test("a server outside sends nobody into their own network")
    func otherAddresses() {
        let outside = v4(45, 1, 1, 1, 3478).ip
        let inside = [v4(127, 0, 0, 1, 0), v4(192, 168, 1, 1, 0), v4(169, 254, 1, 1, 0), v4(224, 0, 0, 1, 0)].map(\.ip)
        for other in inside { #expect(!AddressRule.isPlausible(other, by: outside), "\(other)") }
        #expect(AddressRule.isPlausible(v4(45, 1, 1, 2, 0).ip, by: outside))
        #expect(AddressRule.isPlausible(v4(192, 168, 1, 2, 0).ip, by: v4(192, 168, 1, 1, 0).ip))
        #expect(!AddressRule.isPlausible(.v4Loopback, by: v4(192, 168, 1, 1, 0).ip))
        #expect(!AddressRule.isPlausible(v6(0x2600 << 48, 1, 0).ip, by: outside))
    }
}
