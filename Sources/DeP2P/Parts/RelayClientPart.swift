internal import DeP2PIdentity
internal import DeP2PReach
internal import DeP2PReactor
internal import DeP2PSessions

/// Reaches others through relays, and is reached through them.
@NetworkActor
final class RelayClientPart: NodePart {
    private let relays: RelayClient
    private weak var node: Node?
    private let usesRelays: Bool
    /// Relays to keep reservations with.
    private let reserved: [Address]

    init(_ relays: RelayClient, of node: Node, _ configuration: NodeConfiguration) {
        self.relays = relays
        self.node = node
        usesRelays = configuration.usesRelays
        reserved = configuration.usesRelays && configuration.reserves ? configuration.relays : []
    }

    func start() {
        relays.wantsMembersOnly = { [weak node] in node?.realmID != nil }
        relays.serve(service: node?.relayService)
        if usesRelays { relays.dialThroughRelays() }
        for relay in reserved { relays.use(relay) }
    }

    func networkChanged() { relays.networkChanged() }

    /// A stream that stands for a circuit ends with the circuit's connection.
    func streamsKeptOpen(on session: Session) -> Int { relays.circuitCount(on: session) }

    func stop() async { relays.stop() }
}
