internal import DeP2PReach
internal import DeP2PReactor

/// Relays for others. What they ask of it comes over the protocol that ``RelayClientPart`` serves for both.
@NetworkActor
final class RelayServicePart: NodePart {
    private let service: RelayService

    init(_ service: RelayService) {
        self.service = service
    }

    func willStop(within grace: Duration) { service.stop() }
}
