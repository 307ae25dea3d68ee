internal import CDeP2PQUICShim
internal import DeP2PIdentity

/// An endpoint's throw-away TLS key and the certificate by which its identity key vouches for it.
///
/// The TLS key is ECDSA P-256, which every libp2p implementation accepts; it lives as long as the endpoint. In a
/// simulation it is Ed25519: its signatures are as long every time, which ECDSA's are not.
final class TLSCredentials {
    /// Dates far apart: a certificate lives for one run, and a wrong clock must not lock anyone out.
    private static let notBefore: Int64 = 0  // 1970-01-01, where a clock begins that nobody has set
    private static let notAfter: Int64 = 67_090_118_400  // 4096-01-01

    /// libp2p TLS specification, "ALPN".
    static let applicationProtocol = "libp2p"

    let pointer: OpaquePointer
    let certificate: [UInt8]

    init(identity: IdentityKey, random: RandomSource = .system) throws(QUICError) {
        guard let key = random.isReplayed ? dep2p_certificate_key_from(random.bytes(32)) : dep2p_certificate_key_make()
        else { throw QUICError(.internalError, "no TLS key") }
        defer { dep2p_certificate_key_free(key) }
        let spki = try Self.read { dep2p_certificate_key_spki(key, $0, $1) }
        let signed = SignedKey(
            publicKey: identity.publicKey.protobuf, signature: identity.sign(PeerCertificate.signaturePrefix + spki))
        let value = signed.der
        certificate = try Self.read {
            dep2p_certificate_make(
                key, value, value.count, random.next(), Self.notBefore, Self.notAfter, $0, $1)
        }
        guard let made = dep2p_credentials_of(key, certificate, certificate.count, Self.applicationProtocol) else {
            throw QUICError(.internalError, "no TLS credentials")
        }
        pointer = made
    }

    /// Credentials as they are: for tests of what a hostile peer could present.
    init(certificate: [UInt8], secret: [UInt8], applicationProtocol: String) throws(QUICError) {
        self.certificate = certificate
        guard
            let made = dep2p_credentials_make(
                certificate, certificate.count, secret, secret.count, applicationProtocol)
        else { throw QUICError(.internalError, "no TLS credentials") }
        pointer = made
    }

    deinit {
        dep2p_credentials_free(pointer)
    }

    /// What a function of the shim writes into a buffer.
    static func read(
        _ body: (UnsafeMutablePointer<UInt8>?, Int) -> Int32
    ) throws(QUICError) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: 4096)
        let capacity = result.count
        let length = result.withUnsafeMutableBufferPointer { body($0.baseAddress, capacity) }
        guard length > 0 else { throw QUICError(.internalError, "no TLS certificate") }
        defer { for index in result.indices { result[index] = 0 } }
        return Array(result[..<Int(length)])
    }
}
