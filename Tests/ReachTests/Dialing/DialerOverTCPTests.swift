import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PReach
@testable import DeP2PSessions

/// TCP in the race: behind UDP, before it where UDP is blocked, and what the race says of UDP.
@Suite struct DialerOverTCPTests {
    private typealias Candidate = DialMachine.Candidate
    private typealias Action = DialMachine.Action

    private let udp = Candidate(.direct(SocketAddress(IPAddress(v4: 0xc000_0201), port: 4001)), .text("u"))
    private let tcp = Candidate(.tcp(SocketAddress(IPAddress(v4: 0xc000_0201), port: 443)), .text("t"))

    private func at(_ milliseconds: UInt64) -> NetworkInstant { NetworkInstant(nanoseconds: milliseconds * 1_000_000) }

    private func started(_ actions: [Action]) -> [String] {
        actions.compactMap { if case .start(_, let candidate) = $0 { "\(candidate.place)" } else { nil } }
    }

    private func machine(
        _ expectation: UDPExpectation, _ candidates: [Candidate]
    ) -> (DialMachine, [Action]) {
        var machine = DialMachine(startedAt: at(0), candidateLimit: 16, udp: expectation)
        let actions = machine.add(candidates, now: at(0)) + machine.noMoreCandidates(now: at(0))
        return (machine, actions)
    }

    @Test func tcpStartsWhenUDPIsSilent() {
        var (machine, actions) = machine(.works, [tcp, udp])
        #expect(started(actions) == ["u"])
        #expect(started(machine.timerFired(now: at(149))) == [])
        #expect(started(machine.timerFired(now: at(150))) == ["t"])
        #expect(machine.attemptSucceeded(1, now: at(480)) == [.observedUDP(works: false), .connected(1, cancel: [0])])
        #expect(machine.records.map(\.outcome) == [.connected, .timeout])
        #expect(machine.records.last?.detail.hasPrefix("UDP blocked") == true)
    }

    @Test func tcpStartsAtOnceWhenUDPIsRefused() {
        var (machine, _) = machine(.works, [tcp, udp])
        let actions = machine.attemptFailed(0, TransportFailure(.refused, detail: ""), now: at(3))
        #expect(started(actions) == ["t"])
        // A host that says that nothing listens has been reached over UDP.
        #expect(machine.attemptSucceeded(1, now: at(9)) == [.connected(1, cancel: [])])
    }

    @Test func udpIsPreferredAndShowsThatItWorks() {
        var (machine, _) = machine(.works, [tcp, udp])
        #expect(machine.attemptSucceeded(0, now: at(90)) == [.observedUDP(works: true), .connected(0, cancel: [])])
    }

    @Test func whereUDPIsBlockedTCPStartsAloneAndUDPOnlyAfterIt() {
        var (machine, actions) = machine(.blocked(isProbed: false), [udp, tcp])
        #expect(started(actions) == ["t"])
        #expect(started(machine.timerFired(now: at(5_000))) == [])
        let failed = machine.attemptFailed(0, TransportFailure(.timeout, detail: ""), now: at(6_000))
        #expect(started(failed) == ["u"])
        #expect(machine.attemptSucceeded(1, now: at(6_050)).first == .observedUDP(works: true))
    }

    @Test func aProbeStartsBothAtOnce() {
        let (_, actions) = machine(.blocked(isProbed: true), [udp, tcp])
        #expect(Set(started(actions)) == ["u", "t"])
    }

    @Test func tcpAloneSaysNothingOfUDP() {
        var (machine, actions) = machine(.works, [tcp])
        #expect(started(actions) == ["t"])
        #expect(machine.attemptSucceeded(0, now: at(50)) == [.connected(0, cancel: [])])
        var (direct, _) = self.machine(.works, [udp])
        #expect(direct.attemptSucceeded(0, now: at(50)) == [.connected(0, cancel: [])])
    }

    @Test func relaysDoNotWaitForUDPThatIsBlocked() throws {
        let relay = try Address("/ip4/192.0.2.9/tcp/443/tls/p2p/\(IdentityKey.generate().nodeID)")
        let through = Candidate(.relay([relay]), .text("r"))
        let (_, actions) = machine(.blocked(isProbed: false), [udp, through])
        #expect(Set(started(actions)) == ["u", "r"])
        #expect(started(machine(.works, [udp, through]).1) == ["u"])
    }

    @Test func addressesOfOneRelayAreOneCandidate() throws {
        let (one, two) = (IdentityKey.generate().nodeID, IdentityKey.generate().nodeID)
        let udp = try Address("/ip4/192.0.2.9/udp/4001/quic-v1/p2p/\(one)")
        let tcp = try Address("/ip4/192.0.2.9/tcp/443/tls/p2p/\(one)")
        let other = try Address("/ip4/192.0.2.9/udp/4001/quic-v1/p2p/\(two)")
        var ways = RelayWays()
        for address in [udp, other, tcp, udp] { ways.add(address) }
        #expect(ways.map { $0 } == [[udp, tcp], [other]])
        #expect(!udp.isOverTCP && tcp.isOverTCP)
        let circuit = try Address(components: tcp.components + [.p2pCircuit, .p2p(two)])
        #expect(circuit.isOverTCP)
    }

    @Test func aRelaysPortsAreTakenAtTheHostsThatAreKnown() throws {
        let relay = IdentityKey.generate().nodeID
        let known = try [
            Address("/ip4/192.0.2.9/udp/4001/quic-v1/p2p/\(relay)"),
            Address("/dns4/relay.example/udp/4001/quic-v1/p2p/\(relay)"),
        ]
        let listed = try [
            Address("/ip4/10.0.0.5/udp/4001/quic-v1"), Address("/ip4/10.0.0.5/tcp/443/tls"),
            Address("/ip4/127.0.0.1/tcp/443/tls"), Address("/ip4/10.0.0.5/tcp/8443/tls"),
            Address("/ip4/10.0.0.5/tcp/9443/tls"), Address("/ip4/10.0.0.5/tcp/22"),
        ]
        let ways = RelayClient.tcpWays(listed: listed, known: known).map(\.description)
        #expect(
            ways == [
                "/ip4/192.0.2.9/tcp/443/tls/p2p/\(relay)", "/ip4/192.0.2.9/tcp/8443/tls/p2p/\(relay)",
                "/dns4/relay.example/tcp/443/tls/p2p/\(relay)", "/dns4/relay.example/tcp/8443/tls/p2p/\(relay)",
            ])
    }

    @Test func aRelayNamedByTCPAloneIsLookedForOverUDPToo() throws {
        let relay = IdentityKey.generate().nodeID
        let known = try [Address("/ip4/192.0.2.9/tcp/443/tls/p2p/\(relay)")]
        let listed = try [
            Address("/ip4/10.0.0.5/tcp/443/tls"), Address("/ip4/10.0.0.5/udp/4001/quic-v1"),
            Address("/ip6/2001:db8::5/udp/4001/quic-v1"),
        ]
        let ways = RelayClient.udpWays(listed: listed, known: known).map(\.description)
        #expect(ways == ["/ip4/192.0.2.9/udp/4001/quic-v1/p2p/\(relay)"])
        #expect(RelayClient.tcpWays(listed: listed, known: known).isEmpty)
    }

    // MARK: The sentence at the end

    private func attempt(
        _ address: String, _ outcome: ConnectAttempt.Outcome, stage: ConnectAttempt.Stage = .relay
    ) -> ConnectAttempt {
        ConnectAttempt(stage: stage, place: .text(address), elapsed: .zero, outcome: outcome)
    }

    @Test func aRelayThatIsSilentIsNamedBesideAnAddressWhereNobodyListens() {
        let nobody = attempt("/ip4/127.0.0.1/udp/4001/quic-v1", .refused, stage: .direct)
        let relay = attempt("/ip4/192.0.2.9/udp/4001/quic-v1/p2p/R", .timeout)
        for order in [[nobody, relay], [relay, nobody]] {
            let error = ConnectError.summary(of: order, nodeID: nil)
            #expect(error.code == .timeout && error.reason.contains("127.0.0.1") && error.reason.contains("192.0.2.9"))
        }
        #expect(ConnectError.summary(of: [nobody], nodeID: nil).code == .refused)
    }

    @Test func whatMayPassIsToldApartFromWhatWillNot() {
        let refused = attempt("/ip4/192.0.2.8/udp/4001/quic-v1/p2p/R", .relayRefused)
        let busy = attempt("/ip4/192.0.2.9/udp/4001/quic-v1/p2p/S", .relayBusy)
        let absent = attempt("/ip4/192.0.2.10/udp/4001/quic-v1/p2p/T", .peerAbsent)
        #expect(ConnectError.summary(of: [refused], nodeID: nil).code == .relayRefused)
        #expect(ConnectError.summary(of: [absent, refused], nodeID: nil).code == .peerAbsent)
        #expect(ConnectError.summary(of: [absent, busy, refused], nodeID: nil).code == .relayBusy)
    }

    @Test func udpThatNobodyAnswersIsBlocked() {
        let direct = attempt("/ip4/192.0.2.7/udp/4001/quic-v1", .timeout, stage: .direct)
        let relay = attempt("/ip4/192.0.2.9/udp/4001/quic-v1/p2p/R", .timeout)
        let refusal = attempt("/ip4/192.0.2.9/tcp/443/tls/p2p/R/p2p-circuit/p2p/T", .relayRefused)
        func code(_ attempts: [ConnectAttempt]) -> ConnectError.Code {
            ConnectError.summary(of: attempts, nodeID: nil).code
        }
        #expect(code([direct, relay]) == .udpBlocked)
        #expect(code([relay, refusal]) == .udpBlocked)
        #expect(code([direct, relay, attempt("/ip4/192.0.2.9/tcp/443/tls/p2p/R", .timeout)]) == .udpBlocked)
        // One silent host says nothing, and a host that answers says that UDP passes.
        #expect(code([direct]) == .timeout)
        #expect(code([attempt("/ip4/192.0.2.7/udp/4001/quic-v1", .timeout), direct]) == .timeout)
        #expect(code([direct, attempt("/ip4/192.0.2.9/udp/4001/quic-v1", .refused)]) == .refused)
        #expect(code([direct, attempt("/ip4/192.0.2.9/udp/4001/quic-v1/p2p/R", .relayRefused)]) == .relayRefused)
    }
}
