internal import Identity
public import QUIC

/// Answers STUN Binding requests on a node's own sockets.
@NetworkActor
public final class STUNService {
    private var responder = STUNResponder()
    private let alternate: AlternatePort?
    private weak var endpoint: Endpoint?

    /// Takes the endpoint's datagrams that are STUN by their first byte (RFC 7983, RFC 9443); others go to who was
    /// told of them before.
    ///
    /// - Parameter alternate: the node's second port, which answers too.
    public init(_ endpoint: Endpoint, alternate: AlternatePort? = nil) {
        self.endpoint = endpoint
        self.alternate = alternate
        let next = endpoint.onForeignDatagram
        endpoint.onForeignDatagram = { [weak self] datagram in
            guard let self, let first = datagram.bytes.first, first <= 3 else {
                next?(datagram)
                return
            }
            let port = STUNMessage.isLikely(datagram.bytes) ? alternate?.port(datagram.remote.ip.family) : nil
            answer(datagram, otherPort: port, isAlternate: false)
        }
        alternate?.onDatagram = { [weak self, weak endpoint] datagram in
            let family = datagram.remote.ip.family
            let port = endpoint?.localAddresses.first { $0.ip.family == family }?.port
            self?.answer(datagram, otherPort: port, isAlternate: true)
        }
    }

    private func answer(_ datagram: ForeignDatagram, otherPort: UInt16?, isAlternate: Bool) {
        guard let endpoint else { return }
        let local = datagram.local.ip.isUnspecified ? nil : datagram.local
        guard
            let response = responder.respond(
                to: datagram.bytes, from: datagram.remote, on: local, alternatePort: otherPort,
                now: endpoint.clock.now)
        else { return }
        if response.origin.changesPort != isAlternate {
            alternate?.send(response.bytes, to: response.destination, from: local)
        } else {
            let own = endpoint.localAddresses.first { $0.ip.family == response.destination.ip.family }
            let from = isAlternate ? own.map { SocketAddress(datagram.local.ip, port: $0.port) } : datagram.local
            endpoint.sendForeign(response.bytes, to: response.destination, from: from)
        }
    }
}
