internal import CDeP2PReactor
internal import Glibc

/// A TCP socket with TLS 1.3 over it: reads and writes what goes without waiting.
///
/// States: connecting (a client's, until ``finishConnect()``) → handshaking (``handshake()`` until it is done) → open
/// (``read(into:)``, ``write(_:)``) → closed by ``close()``, at the latest with its owner.
@NetworkActor
package final class TLSSocket {
    package enum Progress: Equatable {
        case done
        /// Goes on when the socket is readable, or writable.
        case wantsRead
        case wantsWrite
        case ended(failed: Bool)
    }

    package enum Transfer: Equatable {
        case bytes(Int)
        case blocked(Progress)
    }

    package let descriptor: Int32
    private let context: TLSContext
    private var tls: OpaquePointer?

    /// Takes the descriptor over; when it throws, that is still the caller's to close.
    package init(descriptor: Int32, context: TLSContext) throws(SocketError) {
        self.descriptor = descriptor
        self.context = context
        tls = dep2p_tls_make(context.pointer, descriptor, context.role == .server ? 1 : 0)
        guard tls != nil else { throw SocketError(.noResources, "no memory for TLS") }
    }

    /// A client's socket, on its way to `remote`.
    ///
    /// - Parameter largestSegment: bytes of a TCP segment, either way, at most.
    package convenience init(
        connectingTo remote: SocketAddress, largestSegment: Int32, context: TLSContext
    ) throws(SocketError) {
        var raw = remote.raw
        let descriptor = dep2p_tcp_connect(&raw, largestSegment)
        guard descriptor >= 0 else { throw SocketError(connectingTo: remote, errno: -descriptor) }
        do {
            try self.init(descriptor: descriptor, context: context)
        } catch {
            Glibc.close(descriptor)
            throw error
        }
    }

    /// - Throws: `.refused`, `.unreachable` or `.timeout` when the connect has failed.
    package func finishConnect(to remote: SocketAddress) throws(SocketError) {
        let errno = dep2p_tcp_connect_error(descriptor)
        guard errno == 0 else { throw SocketError(connectingTo: remote, errno: errno) }
    }

    package func handshake() -> Progress { tls.map { Self.progress(dep2p_tls_handshake($0)) } ?? .ended(failed: false) }

    /// At most one record.
    package func read(into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
        guard let tls else { return .blocked(.ended(failed: false)) }
        // Proof: the buffer is the caller's for the call, and its length goes with it.
        let status = dep2p_tls_read(
            tls, buffer.baseAddress?.assumingMemoryBound(to: UInt8.self), Int32(clamping: buffer.count))
        return status > 0 ? .bytes(Int(status)) : .blocked(Self.progress(status))
    }

    /// Whether there may be more to read although the socket is not readable.
    package var holdsInput: Bool { tls.map { dep2p_tls_holds_input($0) != 0 } ?? false }

    /// Records that one write takes at most.
    package nonisolated static let recordsPerWrite = Int(DEP2P_TLS_RECORDS)

    /// At most ``recordsPerWrite`` records, in one system call; after ``Transfer/blocked(_:)`` the same bytes are to be offered
    /// again. What was taken, and the socket did not take, is ``unsent``.
    package func write(_ bytes: UnsafeRawBufferPointer) -> Transfer {
        guard let tls else { return .blocked(.ended(failed: false)) }
        // Proof: as above.
        let status = dep2p_tls_write(
            tls, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), Int32(clamping: bytes.count))
        return status > 0 ? .bytes(Int(status)) : .blocked(Self.progress(status))
    }

    /// Bytes that wait for room in the socket: until it is writable nothing more is taken, and then ``flush()`` goes on.
    package var unsent: Int { tls.map { dep2p_tls_unsent($0) } ?? 0 }

    /// Sends what waits.
    package func flush() -> Progress { tls.map { Self.progress(dep2p_tls_flush($0)) } ?? .ended(failed: false) }

    package func close() {
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
}
