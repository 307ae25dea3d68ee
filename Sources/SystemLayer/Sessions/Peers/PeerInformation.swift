package import DeP2PIdentity

/// What a peer says of itself, as far as it could be checked.
package struct PeerInformation: Hashable, Sendable {
    /// Protocols and addresses kept of one answer.
    package static let entryLimit = 256
    /// Bytes kept of one text.
    package static let textLimit = 256

    /// The key that the NodeID is made of.
    package let publicKey: PublicKey
    /// Where the peer says it listens: unsigned, a hint.
    package let listenAddresses: [Address]
    package let protocols: [String]
    /// Where the peer sees this node.
    package let observedAddress: Address?
    package let protocolVersion: String
    package let agentVersion: String
    /// The peer's own signed record, when it sent a valid one.
    package let record: PeerRecord?
    /// The same as it came: its envelope.
    package let signedRecord: [UInt8]
}
