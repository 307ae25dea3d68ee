internal import DeP2PReactor
internal import DeP2PSessions

/// Tells which nodes come and go. It stops before the sessions do: that this node goes is no absence of theirs.
@NetworkActor
final class LivenessPart: NodePart {
    private let liveness: Liveness
    private let hub: NodeEventHub

    init(_ connections: Connections, _ times: LivenessTimes, _ hub: NodeEventHub) {
        liveness = Liveness(connections, times: times)
        self.hub = hub
    }

    var peers: [PeerPresence] { liveness.peers }

    func start() {
        liveness.onChange = { [hub] presence in hub.emit(.peer(presence)) }
        liveness.start()
    }

    func willStop(within grace: Duration) { liveness.stop() }
}
