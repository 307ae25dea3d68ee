internal import DeP2PReach
internal import DeP2PReactor

/// Has gateways open the node's port.
@NetworkActor
final class PortMappingPart: NodePart {
    private let mappings: PortMappings
    private var removal: SharedTask<Void>?

    init(of node: Node, in environment: NodeEnvironment) {
        let mappings = PortMappings(of: node.localAddresses) { port, family in
            PortMapper(
                internalPort: port, family: family, clock: environment.clock, random: environment.random,
                in: environment.portMapping)
        }
        mappings.onChange = { [weak node] family, mapping in
            guard let node else { return }
            node.own.reachability.portsChanged()
            node.hub.emit(.portMapping(family, mapping))
        }
        node.own.mappings = mappings
        self.mappings = mappings
    }

    func start() { mappings.start() }

    func networkChanged() { mappings.networkChanged() }

    /// Gateways close the ports while streams end.
    func willStop(within grace: Duration) { removal = SharedTask { [mappings] in await mappings.stop() } }

    // The work throws nothing, and whoever is cancelled waits for nothing.
    func stop() async { _ = try? await removal?.value() }
}
