internal import CDeP2PQUICShim
package import DeP2PIdentity

/// A certificate that proves an identity, as the libp2p TLS specification defines it.
package struct PeerCertificate: Sendable {
    static let signaturePrefix = Array("libp2p-tls-handshake:".utf8)
    static let maxField = 4096

    package let publicKey: PublicKey
    /// When it is valid, in seconds since 1970.
    let validity: ClosedRange<Int64>

    package var nodeID: NodeID { publicKey.nodeID }

    /// Checks one DER certificate: its form, dates (`now` in seconds since 1970), self-signature, and the identity
    /// key's signature over its key.
    package init(der: [UInt8], now: Int64) throws(CertificateError) {
        var spki = [UInt8](repeating: 0, count: Self.maxField)
        var value = [UInt8](repeating: 0, count: Self.maxField)
        var spkiLength = 0
        var valueLength = 0
        var (notBefore, notAfter): (Int64, Int64) = (0, 0)
        let status = dep2p_certificate_inspect(
            der, der.count, now, &spki, &spkiLength, &value, &valueLength, &notBefore, &notAfter)
        if let error = Self.error(status) { throw error }
        validity = notBefore...notAfter  // in order: `now` was found between them
        let signedKey = try SignedKey(der: Array(value[..<valueLength]))
        let signer: PublicKey?
        do throws(IdentityError) {
            signer = try PublicKey.signer(
                protobuf: signedKey.publicKey, of: Self.signaturePrefix + spki[..<spkiLength],
                signature: signedKey.signature)
        } catch {
            throw .malformed(error.description)
        }
        guard let signer else { throw .badIdentitySignature }
        publicKey = signer
    }

    private static func error(_ status: Int32) -> CertificateError? {
        switch Int(status) {
        case DEP2P_CERTIFICATE_OK: nil
        case DEP2P_CERTIFICATE_NOT_YET_VALID: .notYetValid
        case DEP2P_CERTIFICATE_EXPIRED: .expired
        case DEP2P_CERTIFICATE_BAD_SIGNATURE: .badSelfSignature
        case DEP2P_CERTIFICATE_NO_EXTENSION: .missingExtension
        case DEP2P_CERTIFICATE_UNKNOWN_CRITICAL: .unknownCriticalExtension
        case DEP2P_CERTIFICATE_DUPLICATE_EXTENSION: .malformed("the identity is given twice")
        case DEP2P_CERTIFICATE_TOO_LARGE: .malformed("more than 16 KiB")
        case DEP2P_CERTIFICATE_UNFIT_KEY: .unfitKey
        default: .malformed("not an X.509 certificate")
        }
    }
}

/// `SEQUENCE { publicKey OCTET STRING, signature OCTET STRING }` of the libp2p TLS specification, in DER.
struct SignedKey: Equatable {
    let publicKey: [UInt8]
    let signature: [UInt8]

    init(publicKey: [UInt8], signature: [UInt8]) {
        self.publicKey = publicKey
        self.signature = signature
    }

    init(der: [UInt8]) throws(CertificateError) {
        var outer = DERReader(bytes: der[...])
        var inner = DERReader(bytes: try outer.value(tag: 0x30))
        publicKey = Array(try inner.value(tag: 0x04))
        signature = Array(try inner.value(tag: 0x04))
        guard outer.isAtEnd, inner.isAtEnd else { throw .malformed("bytes after the signed key") }
    }

    var der: [UInt8] {
        Self.encode(tag: 0x30, Self.encode(tag: 0x04, publicKey) + Self.encode(tag: 0x04, signature))
    }

    private static func encode(tag: UInt8, _ value: [UInt8]) -> [UInt8] {
        let count = value.count
        precondition(count < 0x10000)
        if count < 0x80 { return [tag, UInt8(count)] + value }
        if count < 0x100 { return [tag, 0x81, UInt8(count)] + value }
        return [tag, 0x82, UInt8(count >> 8), UInt8(count & 0xff)] + value
    }
}

/// Reads definite-length DER values (X.690 8.1), minimal lengths only.
private struct DERReader {
    var bytes: ArraySlice<UInt8>

    var isAtEnd: Bool { bytes.isEmpty }

    mutating func value(tag: UInt8) throws(CertificateError) -> ArraySlice<UInt8> {
        guard bytes.popFirst() == tag, let first = bytes.popFirst() else { throw .malformed("not a signed key") }
        var length = Int(first)
        if first >= 0x80 {
            let count = Int(first & 0x7f)
            guard count == 1 || count == 2, bytes.count >= count else { throw .malformed("a bad DER length") }
            length = bytes.prefix(count).reduce(0) { $0 << 8 | Int($1) }
            bytes = bytes.dropFirst(count)
            guard length >= (count == 1 ? 0x80 : 0x100) else { throw .malformed("a DER length that is not minimal") }
        }
        guard length <= bytes.count else { throw .malformed("truncated") }
        defer { bytes = bytes.dropFirst(length) }
        return bytes.prefix(length)
    }
}
