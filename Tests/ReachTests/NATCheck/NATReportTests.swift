import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PReach

/// The sentences users read (user complaints 3 and 4: a diagnosis that reads wrong, hard NATs).
@Suite struct NATReportTests {
    func report(
        _ mapping: NATCheckBench.Rule?, _ filtering: NATCheckBench.Rule,
        _ observers: [NATCheckBench.Observer] = NATCheckStateMachineTests.nodes,
        ports: NATCheckBench.Ports = .preserving
    ) -> NATReport {
        var nat = NATCheckBench(observers, mapping: mapping, filtering: filtering)
        nat.ports = ports
        var report = NATReport()
        report.ipv4Family = nat.run().report
        return report
    }

    @Test("a verdict for every NAT")
    func verdicts() {
        let none = NATCheckBench.Rule.nothing
        #expect(report(nil, .nothing).verdict == "no NAT: anyone reaches this node directly")
        #expect(
            report(nil, .addressAndPort).verdict
                == "no NAT, but a firewall lets in only replies: peers connect directly by hole punching")
        #expect(
            report(none, .nothing).verdict
                == "behind a full cone NAT: anyone reaches this node directly through its observed address")
        #expect(
            report(none, .address).verdict
                == "behind an address-restricted cone NAT: peers connect directly by hole punching, whatever their NAT")
        #expect(
            report(none, .addressAndPort).verdict
                == "behind a port-restricted cone NAT: peers connect directly by hole punching, those behind a symmetric"
                + " NAT after some seconds, when its ports are guessed")
        #expect(
            report(.addressAndPort, .addressAndPort, ports: .random).verdict
                == "behind a symmetric NAT (mapping varies): needs a relay to peers behind a symmetric NAT, connects"
                + " directly to those behind a port-restricted one when its ports are guessed, and to all others")
        #expect(
            report(.addressAndPort, .addressAndPort, ports: .sequential(step: 2)).verdict
                == "behind a symmetric NAT (mapping varies): needs a relay to peers behind a symmetric or port-restricted"
                + " NAT unless hole punching predicts its ports (steps of 2), all others connect directly")
    }

    @Test("not determined is said, with the number of observers that answered")
    func undetermined() {
        let none = NATCheckBench.Rule.nothing
        let one = [NATCheckStateMachineTests.nodes[0]]
        #expect(
            report(none, .nothing, one).verdict
                == "behind a NAT; 1 of 1 observers answered, so whether its mapping varies is not determined: ask two"
                + " observers at different addresses")
        #expect(
            report(nil, .nothing, one).verdict
                == "no NAT: peers connect directly; 1 of 1 observers answered, so whether a firewall keeps strangers out"
                + " is not determined")
        #expect(
            report(none, .addressAndPort, NATCheckStateMachineTests.plainPair).verdict
                == "behind a NAT with a stable mapping that keeps strangers out: peers connect directly by hole punching"
        )
        let ignorant = NATCheckStateMachineTests.nodes.map {
            NATCheckBench.Observer(address: $0.address, ignoresRequests: true)
        }
        #expect(
            report(none, .addressAndPort, ignorant).verdict
                == "behind a NAT with a stable mapping: peers connect directly by hole punching; 4 of 4 observers"
                + " answered, so whether it lets strangers in is not determined")
    }

    @Test("silence is UDP blocked only when TCP gets through")
    func silence() {
        let silent = NATCheckStateMachineTests.plainPair.map {
            NATCheckBench.Observer(address: $0.address, isSilent: true)
        }
        var report = report(NATCheckBench.Rule.nothing, .nothing, silent)
        #expect(report.udp == nil)
        #expect(report.ipv4 == nil)
        #expect(
            report.verdict
                == "none of 2 observers answered over UDP: whether UDP is blocked here or they are down is not determined"
        )
        report.tcp = true
        #expect(report.udp == false)
        #expect(report.verdict == "UDP is blocked here: connections run through a relay over TCP")
        #expect(NATReport().udp == nil)
        #expect(NATReport().verdict == "no observer to ask")
    }

    private static func liar(_ lie: NATCheckBench.Lie, at address: SocketAddress) -> NATCheckBench.Observer {
        NATCheckBench.Observer(address: address, lie: lie)
    }

    @Test("errors, garbage and impossible addresses are not silence: UDP passes")
    func unusableAnswers() {
        let (one, two) = (v4(45, 10, 0, 1, 4001), v4(45, 10, 1, 1, 4001))
        let lies: [NATCheckBench.Lie] = [
            .garbage, .error, .address(v4(192, 168, 1, 1, 4_001)), .address(v4(127, 0, 0, 1, 4_001)),
            .address(v4(203, 0, 113, 50, 0)), .address(v4(224, 0, 0, 1, 1)),
        ]
        for lie in lies {
            var report = report(
                NATCheckBench.Rule.nothing, .nothing, [Self.liar(lie, at: one), Self.liar(lie, at: two)])
            report.tcp = true
            #expect(report.observers == 0 && report.udp == true)
            #expect(
                report.verdict
                    == "UDP passes, but none of 2 observers gave a usable answer: they are no STUN servers, or it is"
                    + " another port")
        }
    }

    @Test("one silent server may be at fault itself: whether UDP is blocked is not determined")
    func oneSilentServer() {
        let silent = [NATCheckBench.Observer(address: v4(198, 51, 100, 1, 4002), isSilent: true)]
        var report = report(NATCheckBench.Rule.nothing, .nothing, silent)
        report.tcp = true
        #expect(report.udp == nil)
        #expect(
            report.verdict
                == "nothing came over UDP, while TCP works: UDP is blocked here, or nothing listens at that port; ask"
                + " another server to tell")
    }

    @Test("one liar does not outvote two who agree", arguments: [0, 1, 2])
    func liars(place: Int) {
        let honest = [
            NATCheckBench.Observer(address: v4(198, 51, 100, 1, 4001)),
            NATCheckBench.Observer(address: v4(198, 51, 100, 2, 4001)),
        ]
        for lie in [NATCheckBench.Lie.ports, .address(v4(198, 51, 100, 9, 4_000))] {
            var observers = honest
            observers.insert(Self.liar(lie, at: v4(198, 51, 100, 3, 4001)), at: place)
            let seen = report(NATCheckBench.Rule.nothing, .addressAndPort, observers).ipv4Family
            #expect(seen.mapping == .endpointIndependent && seen.outvoted == 1)
            #expect(seen.mapped?.ip == NATCheckBench.external)
            #expect(seen.observations.count == 2)
        }
    }

    @Test("a network that drops what QUIC needs does not let peers connect directly")
    func narrow() {
        var nat = NATCheckBench(
            NATCheckStateMachineTests.nodes, mapping: NATCheckBench.Rule.nothing, filtering: .nothing)
        nat.maximumPacket = 1_100
        var report = NATReport()
        report.ipv4Family = nat.run().report
        #expect(report.isNarrow == true && report.udp == true)
        #expect(
            report.verdict
                == "UDP passes here, but no packets of the 1,200 bytes that QUIC needs: connections run through a relay"
                + " over TCP")
        #expect(self.report(NATCheckBench.Rule.nothing, .nothing).isNarrow == false)
    }

    @Test("an observer that answers small requests alone makes no path narrow")
    func narrowObserver() {
        for count in 1...2 {
            var observers = Array(NATCheckStateMachineTests.plainPair.prefix(count))
            observers[0].largest = 600
            var nat = NATCheckBench(observers, mapping: NATCheckBench.Rule.nothing, filtering: .nothing)
            var report = NATReport()
            report.ipv4Family = nat.run().report
            #expect(report.isNarrow == (count == 1 ? nil : false))
            #expect(!report.verdict.contains("1,200"))
        }
    }

    @Test("what opens the way is said: a gateway that maps ports, or IPv6 without NAT")
    func remarks() {
        var mapped = report(NATCheckBench.Rule.nothing, .addressAndPort)
        mapped.portMapping = [.pcp: false, .natPMP: true, .upnp: true]
        #expect(mapped.verdict.hasSuffix("whether a port that it opens can be reached is not determined"))
        mapped.gatewayAddress = v4(100, 64, 0, 2, 0).ip
        #expect(
            mapped.verdict.hasSuffix(
                "; the gateway offers NAT-PMP, UPnP, but another NAT lies before it (its address is 100.64.0.2, others see"
                    + " 203.0.113.50): a port that it opens leads nowhere"))
        mapped.gatewayAddress = NATCheckBench.external
        #expect(
            mapped.verdict.hasSuffix("; the gateway offers NAT-PMP, UPnP, so a port can be opened for everyone"))
        var dual = report(.addressAndPort, .addressAndPort, ports: .random)
        dual.ipv6Family = report(nil, .addressAndPort).ipv4Family
        #expect(dual.verdict.hasSuffix("; peers with IPv6 connect directly over it"))
        #expect(dual.natType == .symmetric)
    }

    @Test("a family without an address is false, one nobody answered in is not determined")
    func families() {
        var report = report(NATCheckBench.Rule.nothing, .nothing)
        #expect(report.ipv4 == true)
        #expect(report.ipv6 == nil)
        report.ipv6Family.isUnavailable = true
        #expect(report.ipv6 == false)
        #expect(report.udp == true)
        #expect(report.observers == 4)
        #expect(report.observed == [SocketAddress(NATCheckBench.external, port: 50_001)])
    }
}
