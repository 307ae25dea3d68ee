internal import DeP2PQUIC
internal import DeP2PReach
internal import DeP2PReactor
internal import DeP2PSessions

/// The node's sockets: the endpoint over UDP, the second port, the listener over TCP.
@NetworkActor
final class SocketsPart: NodePart {
    private let endpoint: Endpoint
    private let alternate: AlternatePort
    private let listener: TCPListener?

    init(_ endpoint: Endpoint, alternate: AlternatePort, listener: TCPListener?) {
        (self.endpoint, self.alternate, self.listener) = (endpoint, alternate, listener)
    }

    func start() {
        endpoint.start()
        if let listener { endpoint.accept(from: listener) }
    }

    func stop() async {
        alternate.close()
        endpoint.close(code: CloseCode.goodbye.rawValue, reason: "the node is stopping")
    }
}
