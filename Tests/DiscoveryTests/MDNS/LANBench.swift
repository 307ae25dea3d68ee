import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport

@testable import DeP2PDiscovery

/// A machine of Multicast DNS on one link, 192.168.1.10/24, at instants of the test's choice.
struct LANBench {
    let link = Link(
        NetworkLink(
            index: 2, name: "eth0", isLoopback: false,
            addresses: [
                InterfaceAddress(v4(192, 168, 1, 10, 0), prefixLength: 24),
                InterfaceAddress(v6(0xfe80_0000_0000_0000, 10, 0), prefixLength: 64),
            ]), .v4)
    var machine = MDNSMachine(random: SplitMix64(seed: 1))
    var now = NetworkInstant(nanoseconds: 1_000_000_000)

    init() { _ = machine.setLinks([link], now: now) }

    static func announcement(_ name: String, _ text: PeerText, at host: IPAddress = v4(192, 168, 1, 10, 0).ip)
        -> PeerAnnouncement?
    { PeerAnnouncement(peerName: Array(name.utf8), text: text, port: 4001, hosts: [host]) }

    static func shown(_ nodeID: NodeID, at hosts: SocketAddress...) -> PeerText {
        PeerText(addresses: hosts.map { Array("\(Address.quic($0.ip, port: $0.port, nodeID: nodeID))".utf8) })
    }

    mutating func pass(_ time: Duration) -> [MDNSMachine.Action] {
        let end = now.advanced(by: time)
        var actions: [MDNSMachine.Action] = []
        while let wake = machine.wake, wake <= end {
            now = max(now, wake)
            actions += machine.timerFired(now: now)
        }
        now = end
        return actions
    }

    mutating func receive(
        _ message: DNSMessage, from sender: SocketAddress, isAnswer: Bool = false
    ) -> [MDNSMachine.Action] {
        machine.received(message, on: link.id, from: sender, isAnswer: isAnswer, now: now)
    }
}

extension [MDNSMachine.Action] {
    var groups: [DNSMessage] { compactMap { if case .group(let message, _) = $0 { message } else { nil } } }
    var askers: [(DNSMessage, SocketAddress)] {
        compactMap { if case .asker(let message, let asker, _) = $0 { (message, asker) } else { nil } }
    }
    var questions: [DNSMessage] { compactMap { if case .ask(let message) = $0 { message } else { nil } } }
    var found: [Address] { flatMap { if case .found(_, let addresses) = $0 { addresses } else { [Address]() } } }
}
