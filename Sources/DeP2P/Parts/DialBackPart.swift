internal import DeP2PReach
internal import DeP2PReactor
internal import DeP2PSessions

/// Dials others back that want to know whether they are reached.
@NetworkActor
final class DialBackPart: NodePart {
    private let service: DialBackService
    private let connections: Connections

    init(_ alternate: AlternatePort, connections: Connections) {
        self.connections = connections
        service = DialBackService(alternate, clock: connections.clock)
    }

    func start() { service.serve(on: connections) }
}
