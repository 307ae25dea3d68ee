internal import DeP2PReactor
public import Identity
public import SystemLayer

extension Node {
    /// The ports that gateways keep open for this node.
    public var portMappings: [PortMapping] { own.mappings?.mappings ?? [] }

    /// Calls `observer` when a gateway has opened a port, opened another one or closed it (`nil`).
    public func onPortMapping(_ observer: @escaping @NetworkActor (IPAddress.Family, PortMapping?) -> Void) {
        portMappingObservers.append(observer)
    }

    /// Only for a node with sockets of the system's: in a simulated network there is no gateway to ask.
    func startMapping(_ configuration: NodeConfiguration) {
        let wants = configuration.mapsPorts ?? (configuration.preset.mapsPorts && configuration.reserves)
        guard wants, usesDirect else { return }
        let mappings = PortMappings(of: localAddresses)
        mappings.onChange = { [weak self] family, mapping in
            guard let self else { return }
            own.reachability.portsChanged()
            for observer in portMappingObservers { observer(family, mapping) }
        }
        own.mappings = mappings
        addMappedAddresses { [weak mappings] in mappings?.addresses ?? [] }
        mappings.start()
    }
}
