internal import DeP2PReactor
internal import DeP2PSessions

/// Answers pings.
@NetworkActor
final class PingPart: NodePart {
    private let connections: Connections

    init(_ connections: Connections) {
        self.connections = connections
    }

    func start() { Ping.serve(on: connections) }
}
