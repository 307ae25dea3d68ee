public import DeP2PReach

extension Node {
    /// The ports that gateways keep open for this node.
    public var portMappings: [PortMapping] { own.mappings?.mappings ?? [] }
}
