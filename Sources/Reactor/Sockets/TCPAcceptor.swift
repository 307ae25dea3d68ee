internal import CDeP2PReactor
internal import Glibc

/// A listening TCP socket: hands each connection's descriptor to its owner, on the network thread.
///
/// Calling order: ``init(bind:clock:)``, ``start(_:)`` once, ``close()``.
@NetworkActor
package final class TCPAcceptor {
    /// Where it is bound, with its real port.
    package let address: SocketAddress
    private let loop: AcceptLoop

    /// - Throws: ``BindError`` naming the address and the system's reason.
    package init(bind address: SocketAddress, clock: any NetworkClock) throws(BindError) {
        var raw = address.raw
        let descriptor = dep2p_tcp_listen(&raw, AcceptLoop.backlog)
        let status = descriptor < 0 ? descriptor : dep2p_udp_local_address(descriptor, &raw)
        guard status == 0 else {
            if descriptor >= 0 { Glibc.close(descriptor) }
            throw BindError(address: address, errno: -status)
        }
        self.address = SocketAddress(raw)
        loop = AcceptLoop(descriptor, clock: clock)
    }

    /// - Parameter onAccept: takes each descriptor over: it is non-blocking, and the receiver's to close.
    package func start(_ onAccept: @escaping @NetworkActor (_ descriptor: Int32, _ peer: SocketAddress) -> Void) {
        loop.start { listening in
            var raw = dep2p_address()
            let accepted = dep2p_tcp_accept(listening, &raw)
            if accepted >= 0 { onAccept(accepted, SocketAddress(raw)) }
            return accepted
        }
    }

    package func close() { loop.close() }
}
