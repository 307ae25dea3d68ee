internal import DeP2PIdentity
internal import DeP2PSessions

extension ConnectError {
    /// What to make of attempts none of which connected.
    ///
    /// The most telling outcome wins: that something answered says more than that nothing did.
    static func summary(of attempts: [ConnectAttempt], nodeID: NodeID?) -> ConnectError {
        let order: [ConnectAttempt.Outcome] = [
            .wrongPeer, .closed, .handshakeFailed, .relayBusy, .peerAbsent, .relayRefused, .refused, .timeout,
            .unreachable,
            .resolverFailed, .nameUnknown, .unsupported,
        ]
        let attempts = attempts.map(\.withoutSilentResolver)
        let telling = order.lazy.compactMap { outcome in attempts.last { $0.outcome == outcome } }.first
        let name = nodeID.map { "node \($0)" } ?? "the node"
        if let blocked = udpBlocked(attempts, telling, name: name, nodeID: nodeID) { return blocked }
        guard let telling else {
            return ConnectError(
                .noAddress, nodeID: nodeID, reason: "no address of \(name) is known",
                remedy: .advice("give its address as the other side prints it, with /p2p/ and its NodeID"),
                attempts: attempts)
        }
        if let error = silentRelay(attempts, telling, nodeID: nodeID) { return error }
        let text = words(for: telling, name: name)
        return ConnectError(text.code, nodeID: nodeID, reason: text.reason, remedy: text.remedy, attempts: attempts)
    }

    /// That nothing listens at one address of many, as at the loopback one of another machine's record, says little where
    /// the relay that would have led on was silent.
    private static func silentRelay(
        _ attempts: [ConnectAttempt], _ telling: ConnectAttempt, nodeID: NodeID?
    ) -> ConnectError? {
        let silent = attempts.last { $0.stage == .relay && [.timeout, .unreachable].contains($0.outcome) }
        guard telling.outcome == .refused, telling.stage == .direct, let silent else { return nil }
        return ConnectError(
            .timeout, nodeID: nodeID,
            reason: "nothing listens at \(telling.address), and the way through the relay failed: \(silent.address): "
                + (silent.detail.isEmpty ? "nothing answered" : silent.detail),
            remedy: .advice("check that the relay runs and that no firewall drops UDP to it"), attempts: attempts)
    }

    private static func words(for attempt: ConnectAttempt, name: String) -> (code: Code, reason: String, remedy: Remedy)
    {
        let (address, detail) = (attempt.address, attempt.detail)
        return switch attempt.outcome {
        case .wrongPeer:
            (
                .wrongPeer, detail,
                .advice("check the NodeID; the other node may have a new identity, or the address a new owner")
            )
        case .closed:
            (.closed, "\(name) closed the connection: \(detail)", .advice("ask its owner, or try again later"))
        case .relayRefused:
            (
                .relayRefused, "no path through the relay: \(detail)",
                .advice("check that the other side runs with this relay, or ask the relay's owner")
            )
        case .relayBusy:
            (
                .relayBusy, "no path through the relay: \(detail)",
                attempt.remedy ?? .advice("try again later, or ask the relay's owner")
            )
        case .peerAbsent:
            (
                .peerAbsent, "no path through the relay: \(detail)",
                .advice("check that the other side runs with this relay; if it does, try again in a moment")
            )
        case .handshakeFailed:
            (
                .handshakeFailed, "the handshake with \(address) failed: \(detail)",
                .advice("check that a dep2p or libp2p QUIC node listens there")
            )
        case .refused:
            (.refused, "nothing listens at \(address)", .advice("start the other side, and check the port"))
        case .timeout:
            (
                .timeout, "nothing answered at \(address)",
                .advice("check that the other side runs and that no firewall drops UDP to it")
            )
        case .unreachable:
            (.unreachable, "no route to \(address): \(detail)", .advice("check this machine's network"))
        case .nameUnknown:
            (.nameUnknown, "cannot resolve \(address): \(detail)", .advice("check the name, or give an IP address"))
        case .resolverFailed:
            (
                .resolverFailed, "this machine's resolver does not resolve \(address): \(detail)",
                .advice("check /etc/resolv.conf and the network, or give an IP address")
            )
        case .unsupported, .connected, .superseded:
            (
                .noAddress, "no address of \(name) can be dialled: \(address): \(detail)",
                .advice("give an address with /quic-v1")
            )
        }
    }
}

extension ConnectAttempt {
    /// A lookup that was still under way when the whole connect was over says nothing of hosts and firewalls.
    fileprivate var withoutSilentResolver: ConnectAttempt {
        guard stage == .resolve, outcome == .timeout else { return self }
        return ConnectAttempt(
            stage: stage, place: place, elapsed: elapsed, outcome: .resolverFailed,
            detail: "the resolver did not answer")
    }
}
