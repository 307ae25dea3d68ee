import CDeP2PGnuTLS
import CDeP2PQUICShim
import DeP2PIdentity
import DeP2PSimulation
import Testing

@testable import DeP2PQUIC

/// GnuTLS's checks of P-256 signatures, which OpenSSL does (`ecdsa.c`).
@Suite(.serialized) struct HandshakeSignatureTests {
    /// The order of P-256's group (SEC 2, 2.4.2).
    private static let order = Hex.decode("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551") ?? []

    private let key = dep2p_certificate_key_make()

    /// By Nettle.
    private func sign(_ data: [UInt8]) -> [UInt8] {
        var (der, data) = ([UInt8](repeating: 0, count: 256), data)
        let derLength = dep2p_certificate_key_private(key, &der, der.count)
        var secret: gnutls_x509_privkey_t?
        #expect(derLength > 0 && gnutls_x509_privkey_init(&secret) == 0)
        defer { gnutls_x509_privkey_deinit(secret) }
        var result = [UInt8](repeating: 0, count: 128)
        var length = result.count
        der.withUnsafeMutableBufferPointer { der in
            var from = gnutls_datum_t(data: der.baseAddress, size: UInt32(derLength))
            #expect(gnutls_x509_privkey_import(secret, &from, GNUTLS_X509_FMT_DER) == 0)
        }
        data.withUnsafeMutableBufferPointer { data in
            var signed = gnutls_datum_t(data: data.baseAddress, size: UInt32(data.count))
            #expect(gnutls_x509_privkey_sign_data(secret, GNUTLS_DIG_SHA256, 0, &signed, &result, &length) == 0)
        }
        return Array(result[..<length])
    }

    /// Whether GnuTLS takes it, by the key of the certificate.
    private func isTaken(_ signature: [UInt8], of data: [UInt8], by certificate: [UInt8]) -> Bool {
        var (der, data, signature) = (certificate, data, signature)
        var certificate: gnutls_x509_crt_t?
        #expect(gnutls_x509_crt_init(&certificate) == 0)
        defer { gnutls_x509_crt_deinit(certificate) }
        return der.withUnsafeMutableBufferPointer { der in
            var from = gnutls_datum_t(data: der.baseAddress, size: UInt32(der.count))
            #expect(gnutls_x509_crt_import(certificate, &from, GNUTLS_X509_FMT_DER) == 0)
            return data.withUnsafeMutableBufferPointer { data in
                signature.withUnsafeMutableBufferPointer { signature in
                    var signed = gnutls_datum_t(data: data.baseAddress, size: UInt32(data.count))
                    var value = gnutls_datum_t(data: signature.baseAddress, size: UInt32(signature.count))
                    return gnutls_x509_crt_verify_data2(certificate, GNUTLS_SIGN_ECDSA_SHA256, 0, &signed, &value) >= 0
                }
            }
        }
    }

    private func certificate() -> [UInt8] {
        var result = [UInt8](repeating: 0, count: 1024)
        let length = dep2p_certificate_make(key, [], 0, 1, 0, 4_000_000_000, &result, result.count)
        return Array(result[..<Int(length)])
    }

    /// DER of two numbers.
    private func signature(_ r: [UInt8], _ s: [UInt8]) -> [UInt8] {
        let numbers = [r, s].flatMap { number in
            let bytes = (number.first ?? 0) >= 0x80 ? [0] + number : number
            return [0x02, UInt8(bytes.count)] + bytes
        }
        return [0x30, UInt8(numbers.count)] + numbers
    }

    @Test func takesWhatIsSignedAndNothingElse() {
        defer { dep2p_certificate_key_free(key) }
        let certificate = certificate()
        for round in 0..<20 {
            let data = Array("what is said \(round)".utf8)
            let good = sign(data)
            let before = dep2p_ecdsa_checks()
            #expect(isTaken(good, of: data, by: certificate))
            #expect(dep2p_ecdsa_checks() > before)
            #expect(!isTaken(good, of: data + [0], by: certificate))
            for bit in stride(from: round, to: good.count * 8, by: 5) {
                var forged = good
                forged[bit / 8] ^= 1 << (bit % 8)
                #expect(!isTaken(forged, of: data, by: certificate))
            }
        }
    }

    @Test func takesNoNumberOutsideTheGroup() {
        defer { dep2p_certificate_key_free(key) }
        let (certificate, data) = (certificate(), Array("what is said".utf8))
        let one: [UInt8] = [1]
        let larger = Array(Self.order.dropLast()) + [Self.order[31] + 1]
        let largest = [UInt8](repeating: 0xff, count: 32)
        let numbers: [[UInt8]] = [[0], one, Self.order, larger, largest, largest + largest]
        for r in numbers {
            for s in numbers { #expect(!isTaken(signature(r, s), of: data, by: certificate)) }
        }
        // Negative, as DER says it.
        #expect(!isTaken([0x30, 0x06, 0x02, 0x01, 0x80, 0x02, 0x01, 0xff], of: data, by: certificate))
    }
}
