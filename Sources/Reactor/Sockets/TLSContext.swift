internal import CDeP2PReactor
internal import Glibc

/// A TLS context for the outer connections of TCP legs.
///
/// It authenticates nobody: the QUIC connection inside does. The certificate is there because TLS wants one.
package final class TLSContext {
    package enum Role { case client, server }

    /// Kept by every ``TLSSocket`` made with it; OpenSSL counts its own references besides.
    let pointer: OpaquePointer?
    package let role: Role

    private init(_ role: Role, _ pointer: OpaquePointer?) throws(SocketError) {
        guard let pointer else { throw SocketError(.noResources, "no TLS context") }
        (self.role, self.pointer) = (role, pointer)
    }

    package static func client() throws(SocketError) -> TLSContext {
        try TLSContext(.client, dep2p_tls_client_context())
    }

    /// - Parameters:
    ///   - certificate: X.509 in DER.
    ///   - key: its private key, SEC 1 in DER; the caller's to wipe.
    package static func server(certificate: [UInt8], key: [UInt8]) throws(SocketError) -> TLSContext {
        // Proof: OpenSSL copies both within the call, and their lengths go with them.
        try TLSContext(.server, dep2p_tls_server_context(certificate, certificate.count, key, key.count))
    }

    /// One that no connection can be made with: for tests.
    package init(unusable role: Role) {
        self.role = role
        pointer = nil
    }

    deinit {
        dep2p_tls_context_free(pointer)
    }
}
