internal import CDeP2PQUICShim
internal import DeP2PIdentity
internal import DeP2PReactor

/// The certificate of the outer TLS, which authenticates nobody: the QUIC connection inside does. It is there because TLS
/// wants one, and lives as long as its listener.
extension TLSContext {
    private static let notBefore: Int64 = 946_684_800  // 2000-01-01
    private static let notAfter: Int64 = 67_090_118_400  // 4096-01-01

    static func ephemeralServer() throws(QUICError) -> TLSContext {
        guard let key = dep2p_certificate_key_make() else { throw QUICError(.internalError, "no TLS key") }
        defer { dep2p_certificate_key_free(key) }
        var secret = try TLSCredentials.read { dep2p_certificate_key_private(key, $0, $1) }
        defer { for index in secret.indices { secret[index] = 0 } }
        let certificate = try TLSCredentials.read {
            dep2p_certificate_make(key, nil, 0, SecureRandom.uint64(), notBefore, notAfter, $0, $1)
        }
        do { return try .server(certificate: certificate, key: secret) } catch { throw QUICError(error) }
    }
}

extension QUICError {
    init(_ error: SocketError) {
        let code: Code =
            switch error.code {
            case .refused: .refused
            case .timeout: .timeout
            case .unreachable: .unreachable
            case .noResources, .cannotListen, .broken, .closed: .internalError
            }
        self.init(code, error.description)
    }
}
