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
}
