internal import CQUICShim
internal import Glibc

/// A TLS context for the outer connections of TCP legs.
///
/// It authenticates nobody: the QUIC connection inside does. The certificate is there because TLS wants one.
final class TLSContext {
    enum Role { case client, server }

    private static let notBefore: Int64 = 946_684_800  // 2000-01-01
    private static let notAfter: Int64 = 67_090_118_400  // 4096-01-01

    /// Kept by every ``TLSSocket`` made with it; OpenSSL counts its own references besides.
    let pointer: OpaquePointer?
    let role: Role

    init(_ role: Role) throws(QUICError) {
        self.role = role
        guard let made = try role == .client ? dep2p_tls_client_context() : Self.server() else {
            throw QUICError(.internalError, "no TLS context")
        }
        pointer = made
    }

    /// One that no connection can be made with: for tests.
    init(unusable role: Role) {
        self.role = role
        pointer = nil
    }

    deinit {
        dep2p_tls_context_free(pointer)
    }

    private static func server() throws(QUICError) -> OpaquePointer? {
        guard let key = dep2p_certificate_key_make() else { throw QUICError(.internalError, "no TLS key") }
        defer { dep2p_certificate_key_free(key) }
        var secret = try TLSCredentials.read { dep2p_certificate_key_private(key, $0, $1) }
        defer { for index in secret.indices { secret[index] = 0 } }
        let certificate = try TLSCredentials.read {
            dep2p_certificate_make(key, nil, 0, notBefore, notAfter, $0, $1)
        }
        return dep2p_tls_server_context(certificate, certificate.count, secret, secret.count)
    }
}

/// A TCP socket with TLS 1.3 over it: reads and writes what goes without waiting.
///
/// States: connecting (a client's, until ``finishConnect()``) → handshaking (``handshake()`` until it is done) → open
/// (``read(into:)``, ``write(_:)``) → closed by ``close()``, at the latest with its owner.
@NetworkActor
final class TLSSocket {
    enum Progress: Equatable {
        case done
        /// Goes on when the socket is readable, or writable.
        case wantsRead
        case wantsWrite
        case ended(failed: Bool)
    }

    enum Transfer: Equatable {
        case bytes(Int)
        case blocked(Progress)
    }

    let descriptor: Int32
    private let context: TLSContext
    private var tls: OpaquePointer?

    /// Takes the descriptor over; when it throws, that is still the caller's to close.
    init(descriptor: Int32, context: TLSContext) throws(QUICError) {
        self.descriptor = descriptor
        self.context = context
        tls = dep2p_tls_make(context.pointer, descriptor, context.role == .server ? 1 : 0)
        guard tls != nil else { throw QUICError(.internalError, "no memory for TLS") }
    }

    /// A client's socket, on its way to `remote`.
    convenience init(connectingTo remote: SocketAddress, context: TLSContext) throws(QUICError) {
        var raw = remote.raw
        let descriptor = dep2p_tcp_connect(&raw)
        guard descriptor >= 0 else { throw Self.error(connecting: remote, errno: -descriptor) }
        do {
            try self.init(descriptor: descriptor, context: context)
        } catch {
            Glibc.close(descriptor)
            throw error
        }
    }

    /// - Throws: `.refused`, `.unreachable` or `.timeout` when the connect has failed.
    func finishConnect(to remote: SocketAddress) throws(QUICError) {
        let errno = dep2p_tcp_connect_error(descriptor)
        guard errno == 0 else { throw Self.error(connecting: remote, errno: errno) }
    }

    func handshake() -> Progress { tls.map { Self.progress(dep2p_tls_handshake($0)) } ?? .ended(failed: false) }

    /// At most one record.
    func read(into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
        guard let tls else { return .blocked(.ended(failed: false)) }
        // Proof: the buffer is the caller's for the call, and its length goes with it.
        let status = dep2p_tls_read(
            tls, buffer.baseAddress?.assumingMemoryBound(to: UInt8.self), Int32(clamping: buffer.count))
        return status > 0 ? .bytes(Int(status)) : .blocked(Self.progress(status))
    }

    /// At most one record; after ``Transfer/blocked(_:)`` the same bytes are to be offered again.
    func write(_ bytes: UnsafeRawBufferPointer) -> Transfer {
        guard let tls else { return .blocked(.ended(failed: false)) }
        // Proof: as above.
        let status = dep2p_tls_write(
            tls, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), Int32(clamping: bytes.count))
        return status > 0 ? .bytes(Int(status)) : .blocked(Self.progress(status))
    }

    func close() {
        guard let tls else { return }
        self.tls = nil
        dep2p_tls_shutdown(tls)
        dep2p_tls_free(tls)
        dep2p_tcp_close(descriptor)
    }

    private static func progress(_ status: Int32) -> Progress {
        switch Int(status) {
        case DEP2P_TLS_DONE: .done
        case DEP2P_TLS_WANT_READ: .wantsRead
        case DEP2P_TLS_WANT_WRITE: .wantsWrite
        case DEP2P_TLS_CLOSED: .ended(failed: false)
        default: .ended(failed: true)
        }
    }

    private static func error(connecting remote: SocketAddress, errno: Int32) -> QUICError {
        switch errno {
        case ECONNREFUSED: QUICError(.refused, "nothing listens on TCP at \(remote)")
        case ETIMEDOUT: QUICError(.timeout, "no answer over TCP from \(remote)")
        default: QUICError(.unreachable, "no TCP connection to \(remote): \(String(cString: strerror(errno)))")
        }
    }
}
