internal import Identity
public import QUIC

/// Answers STUN Binding requests on a node's own sockets.
@NetworkActor
public final class STUNService {
    private var responder = STUNResponder()

    /// Takes the endpoint's datagrams that are STUN by their first byte (RFC 7983, RFC 9443); others go to who was
    /// told of them before.
    public init(_ endpoint: Endpoint) {
        let next = endpoint.onForeignDatagram
        endpoint.onForeignDatagram = { [weak self, weak endpoint] datagram in
            guard let self, let endpoint, let first = datagram.bytes.first, first <= 3 else {
                next?(datagram)
                return
            }
            let local = datagram.local.ip.isUnspecified ? nil : datagram.local
            guard
                let response = responder.respond(
                    to: datagram.bytes, from: datagram.remote, on: local, now: endpoint.clock.now)
            else { return }
            endpoint.sendForeign(response.bytes, to: response.destination, from: datagram.local)
        }
    }
}
