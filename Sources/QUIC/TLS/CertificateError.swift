package import DeP2PIdentity

/// Why a peer's certificate was not accepted (libp2p TLS specification, "Peer Authentication").
package enum CertificateError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The peer proved another identity than the dialled one.
    case wrongPeer(expected: NodeID, actual: NodeID)
    /// Not exactly one certificate.
    case chain(Int)
    case malformed(String)
    case notYetValid
    case expired
    /// The certificate is not signed with its own key.
    case badSelfSignature
    case missingExtension
    case unknownCriticalExtension
    /// Of a kind, or of a size, that nobody needs and that costs much to check with.
    case unfitKey
    /// The identity key did not sign the certificate's key.
    case badIdentitySignature

    package var description: String {
        switch self {
        case .wrongPeer(let expected, let actual): "dialled \(expected) but \(actual) answered"
        case .chain(let count): "the peer sent \(count) certificates instead of one"
        case .malformed(let detail): "the peer's certificate is malformed: \(detail)"
        case .notYetValid: "the peer's certificate is not valid yet; check both clocks"
        case .expired: "the peer's certificate has expired; check both clocks"
        case .badSelfSignature: "the peer's certificate is not signed with its own key"
        case .missingExtension: "the peer's certificate carries no libp2p identity"
        case .unknownCriticalExtension: "the peer's certificate has an unknown critical extension"
        case .unfitKey:
            "the peer's certificate has a key that is not ECDSA on P-256 or P-384, Ed25519, or RSA of 2048 to 4096 bits"
        case .badIdentitySignature: "the peer's certificate is not signed by the identity that it claims"
        }
    }
}
