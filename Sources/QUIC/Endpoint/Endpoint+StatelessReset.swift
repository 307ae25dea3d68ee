internal import CDeP2PQUICShim
internal import DeP2PIdentity
internal import DeP2PReactor

extension Endpoint {
    /// What stateless reset tokens are made from (RFC 9000 10.3.2): the same after a restart, so that a restarted node
    /// can reset connections it has forgotten, and another for each endpoint of one identity. An endpoint that shared it
    /// would hand out, for any connection ID that a stranger has seen on the wire, the token that ends the other's
    /// connection (RFC 9000 21.11).
    ///
    /// What tells them apart is where they are bound: no two on one machine share that, and packets for connections of
    /// the past only reach a process that is bound to the same again. `scope` tells machines apart.
    static func resetSecret(_ key: IdentityKey, scope: [UInt8], addresses: [SocketAddress]) -> [UInt8] {
        let bound = addresses.map(\.description).sorted().joined(separator: " ")
        var secret = key.sign(Array("dep2p stateless reset v2".utf8))
        defer { for index in secret.indices { secret[index] = 0 } }
        return hkdfSHA256(key: secret, salt: scope, info: Array(bound.utf8), count: secretLength)
    }

    /// 16 bytes that this endpoint, and no other, knows of a connection ID (RFC 9000 section 10.3.2). By HMAC: each
    /// connection needs four, and HKDF by way of ngtcp2 takes three times as long.
    func resetToken(for cid: dep2p_cid) -> [UInt8] {
        let id = withUnsafeBytes(of: cid.data) { [UInt8]($0.prefix(Int(cid.length))) }
        return Array(resetKey.authenticate(id).prefix(ResetToken.length))
    }
}
