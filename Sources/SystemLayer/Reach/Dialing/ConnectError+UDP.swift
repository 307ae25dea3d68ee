internal import DeP2PIdentity
internal import DeP2PSessions

extension ConnectError {
    private typealias Outcome = ConnectAttempt.Outcome

    /// Outcomes after which the host is known to be there.
    private static let answers: Set<Outcome> = [
        .connected, .refused, .wrongPeer, .handshakeFailed, .closed, .relayRefused, .relayBusy, .peerAbsent,
    ]

    /// What to say when UDP itself seems not to pass: nothing answered over it, and either TCP to a node had an answer,
    /// or a relay and another host were silent alike.
    static func udpBlocked(
        _ attempts: [ConnectAttempt], _ telling: ConnectAttempt?, name: String, nodeID: NodeID?
    ) -> ConnectError? {
        let overUDP = attempts.filter { $0.stage != .resolve && $0.isOverUDP }
        let overTCP = attempts.filter { $0.stage != .resolve && $0.isOverTCP }
        let isSilent = !overUDP.contains { answers.contains($0.outcome) } && overUDP.contains { $0.outcome == .timeout }
        guard isSilent, let telling else { return nil }
        if let answer = overTCP.last(where: { answers.contains($0.outcome) }) {
            return ConnectError(
                .udpBlocked, nodeID: nodeID,
                reason: "UDP is blocked on this network, and TCP led no further: \(answer.address): "
                    + (answer.detail.isEmpty ? answer.outcome.rawValue : answer.detail),
                remedy: .advice("check that \(name) runs with the same relay, or use a network that lets UDP through"),
                attempts: attempts)
        }
        let hosts = Set(overUDP.filter { $0.outcome == .timeout }.map(\.host))
        guard telling.outcome == .timeout, hosts.count > 1, overUDP.contains(where: { $0.stage == .relay }) else {
            return nil
        }
        let also = overTCP.isEmpty ? "" : ", and TCP to the relay fails too"
        return ConnectError(
            .udpBlocked, nodeID: nodeID,
            reason: "nothing answered over UDP at \(hosts.count) hosts: this network seems to block it\(also)",
            remedy: overTCP.isEmpty
                ? .nameRelayOverTCP : .advice("check this machine's network, and that the relay runs"),
            attempts: attempts)
    }
}

extension ConnectAttempt {
    fileprivate var isOverTCP: Bool { address.contains("/tcp/") || address.contains("(tcp ") }

    /// An address, or a name with the address that it resolved to.
    fileprivate var isOverUDP: Bool { address.contains("/udp/") || (address.contains("(") && !isOverTCP) }

    /// Names the host: `192.0.2.1` of `/ip4/192.0.2.1/…`, or all of a resolved name.
    fileprivate var host: Substring {
        address.hasPrefix("/") ? address.split(separator: "/").dropFirst().first ?? "" : address[...]
    }
}
