internal import DeP2PIdentity
internal import DeP2PQUIC
package import DeP2PReactor
package import DeP2PSessions

/// Dials others back: /dep2p/sys/autonat/1.0.0, the side that is asked.
///
/// The cheap form of a dial: a STUN Binding indication with the asker's nonce, from the node's second port, which the
/// asker has not written to. It shows that UDP from there gets through to the asker's socket, which is all that a QUIC
/// handshake over it needs. It says nothing about filtering by address alone, since this node's address is known to the
/// asker's NAT: the asker finds that out by itself (``NATCheck``).
///
/// No use as a reflector: only to the address that the connection itself comes from, only to ports that a node may
/// have, three datagrams of 28 bytes a port, within ``DialBackLimiter``.
@NetworkActor
package final class DialBackService {
    package nonisolated static let id = "/dep2p/sys/autonat/1.0.0"
    /// When each indication is sent, after the request.
    nonisolated static let sendTimes: [Duration] = [.zero, .milliseconds(100), .milliseconds(300)]
    nonisolated static let deadline = Duration.seconds(5)
    /// Below it, services of others live; QUIC's own port is an exception.
    nonisolated static let leastPort: UInt16 = 1024
    nonisolated static let quicPort: UInt16 = 443

    private let alternate: AlternatePort
    private let clock: any NetworkClock
    private var limiter = DialBackLimiter()

    package init(_ alternate: AlternatePort, clock: any NetworkClock) {
        self.alternate = alternate
        self.clock = clock
    }

    package func serve(on connections: Connections) {
        connections.registry.register(Self.id, deadline: .within(Self.deadline)) { [weak self] session, stream in
            let reader = FrameReader(stream, limit: DialBackMessage.limit)
            let request = try await reader.required()
            guard let self else { return }
            try await stream.writeFrame(try DialBackMessage.encode(answer(request, session)))
        }
    }

    private func answer(_ request: [UInt8], _ session: Session) -> DialBackMessage.Report {
        guard let probes = DialBackMessage.probes(request) else {
            return DialBackMessage.Report(status: .malformed, observed: nil)
        }
        guard session.path.tcpPeer == nil, let asker = session.validatedPeer, alternate.port(asker.ip.family) != nil
        else {
            return DialBackMessage.Report(status: .unable, observed: nil)
        }
        guard limiter.take(session.remoteNodeID, session.subject, now: clock.now) else {
            return DialBackMessage.Report(status: .limitReached, observed: asker)
        }
        let local = session.path.local
        for probe in probes {
            let port = probe.port == 0 ? asker.port : probe.port
            guard port >= Self.leastPort || port == Self.quicPort || port == asker.port else { continue }
            dial(SocketAddress(asker.ip, port: port, scope: asker.scope), probe.nonce, from: local)
        }
        return DialBackMessage.Report(status: .sent, observed: asker)
    }

    private func dial(_ target: SocketAddress, _ nonce: STUNTransactionID, from local: SocketAddress?) {
        let bytes = STUNMessage(.indication, transaction: nonce).bytes
        let source = local.flatMap { $0.ip.isUnspecified ? nil : $0 }
        for delay in Self.sendTimes {
            _ = clock.schedule(after: delay) { [weak self] in
                self?.alternate.send(bytes, to: target, from: source)
            }
        }
    }
}
