internal import DeP2PIdentity
internal import DequeModule

/// Certificates that were found good, by the digest of all their bytes: a peer that comes back is not checked anew.
///
/// Checking one takes as long as a third of a handshake. Only the dates can change the verdict, so they are looked at
/// each time; a certificate found bad is not remembered.
struct CertificateCache {
    /// Certificates remembered; the oldest goes first.
    static let limit = 1_024

    private var known: [SHA256.Digest: PeerCertificate] = [:]
    private var order = Deque<SHA256.Digest>()

    var count: Int { known.count }

    /// The checked certificate; as ``PeerCertificate/init(der:now:)``.
    mutating func certificate(der: [UInt8], now: Int64) throws(CertificateError) -> PeerCertificate {
        let digest = SHA256.hash(der)
        if let certificate = known[digest], certificate.validity.contains(now) { return certificate }
        let certificate = try PeerCertificate(der: der, now: now)
        if known.updateValue(certificate, forKey: digest) == nil {
            order.append(digest)
            if order.count > Self.limit, let oldest = order.popFirst() { known[oldest] = nil }
        }
        return certificate
    }
}
