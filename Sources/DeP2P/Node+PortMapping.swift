package import DeP2PReach

extension Node {
    /// The ports that gateways keep open for this node.
    package var portMappings: [PortMapping] { own.mappings?.mappings ?? [] }
}
