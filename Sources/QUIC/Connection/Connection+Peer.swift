internal import DeP2PIdentity
package import DeP2PReactor

/// Where the peer is, as far as it has been proven.
extension Connection {
    /// Both ends of the path that the peer has last been proven on; fake addresses where it is relayed or over TCP.
    /// `nil` while the handshake of a peer without a Retry token is under way.
    var validatedAddresses: (local: SocketAddress, remote: SocketAddress)? {
        // Without closures: each would ask at run time which thread it is on.
        var current: ValidatedPath.Ends?
        if let (local, remote) = currentAddresses { current = ValidatedPath.Ends(local: local, remote: remote) }
        guard let ends = validatedPath.standing(current: current, now: endpoint.clock.now) else { return nil }
        return (ends.local, ends.remote)
    }

    /// The peer's own address, which it has proven to receive at; `nil` where it is reached through a relay, and before
    /// there was a proof. What is sent to the peer outside of QUIC goes there, and what it is blamed for counts there.
    package var validatedPeer: SocketAddress? {
        guard let ends = validatedAddresses, endpoint.kindOfPath(from: ends.local) == nil else { return nil }
        if let leg = endpoint.tcpLeg(from: ends.local) { return leg.peer }
        return FakeAddress.contains(ends.local.ip) ? nil : ends.remote
    }

    /// Whom the connection counts for where a limit is one per address. Of a peer without any proof it is the address
    /// that it says it has: nothing may be charged to that.
    package var subject: Subject {
        guard let ends = validatedAddresses ?? currentAddresses else { return lastSubject ?? Subject(.v6Any) }
        // The leg may have ended before its connections.
        if FakeAddress.contains(ends.local.ip), endpoint.leg(at: ends.local.ip) == nil, let lastSubject {
            return lastSubject
        }
        let subject = endpoint.subject(local: ends.local, remote: ends.remote)
        lastSubject = subject
        return subject
    }

    /// The peer answered over the path that is current now.
    func provePath() {
        guard let current = currentAddresses else { return }
        provePath(local: current.local, remote: current.remote)
    }

    func provePath(local: SocketAddress, remote: SocketAddress) {
        validatedPath.prove(ValidatedPath.Ends(local: local, remote: remote), now: endpoint.clock.now)
    }
}

extension Endpoint {
    /// Whom a datagram between these addresses counts for.
    func subject(local: SocketAddress, remote: SocketAddress) -> Subject {
        switch leg(at: local.ip) {
        case let leg as RelayLeg: .relay(leg.connection.id)
        case let leg as TCPLeg: Subject(leg.peer.ip)
        default: Subject(remote.ip)
        }
    }
}
