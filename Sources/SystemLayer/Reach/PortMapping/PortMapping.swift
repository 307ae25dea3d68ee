public import DeP2PIdentity

/// A port of this machine that its gateway opened to the world.
public struct PortMapping: Equatable, Sendable {
    public let kind: PortMappingProtocol
    public let internalPort: UInt16
    /// Where others reach the port. The address is `nil` when the gateway did not tell it.
    public let externalPort: UInt16
    public let externalAddress: IPAddress?
}
