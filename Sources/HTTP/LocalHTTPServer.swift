internal import CDeP2PReactor
internal import DeP2PIdentity
internal import DeP2PReactor
internal import Glibc

/// Serves HTTP/1.1 to programs of this machine: one request a connection, GET and HEAD, on a thread of its own.
///
/// Nobody can hold anything up: connections, the size of a head, the time for it and a connection's whole life are bounded,
/// and content is made at a bounded rate (``LocalRoute``). Calling order: ``init(on:routes:limits:)``, ``stop()``.
package final class LocalHTTPServer: Sendable {
    /// What bounds everybody who connects.
    package struct Limits: Sendable {
        /// Connections at once.
        package var connections = 32
        /// Bytes of a head, and its fields.
        package var headBytes = 8 * 1024
        package var headFields = 64
        /// From the connection to the end of the head.
        package var headPatience = Duration.seconds(5)
        /// From the connection to its end: what has not been read by then nobody reads.
        package var lifetime = Duration.seconds(15)
        /// How long the other side may take to close after the answer.
        package var lingering = Duration.seconds(1)

        package init() {}
    }

    private static let backlog: Int32 = 64

    /// Where it is, with its real port.
    package let address: LocalAddress
    private let loop: ServerLoop
    private let file: SocketFile?

    /// Which file a Unix socket's path names.
    private struct SocketFile: Equatable, Sendable {
        let device: dev_t
        let inode: ino_t

        init?(_ path: String) {
            var status = stat()
            guard lstat(path, &status) == 0 else { return nil }
            (device, inode) = (status.st_dev, status.st_ino)
        }
    }

    /// - Parameter routes: what is served under each path.
    /// - Throws: ``HTTPError`` `cannotListen`; `badAddress` for one that others reach.
    package init(
        on address: LocalAddress, routes: [String: LocalRoute], limits: Limits = Limits()
    ) throws(HTTPError) {
        let listener: Int32
        let host: HostRule
        switch address {
        case .tcp(let ip, let port):
            guard ip.isLoopback else { throw HTTPError(.badAddress, "\(ip) is no loopback address") }
            var raw = SocketAddress(ip, port: port).raw
            listener = dep2p_tcp_listen(&raw, Self.backlog)
            guard listener >= 0 else { throw Self.cannotListen(address, -listener) }
            let status = dep2p_udp_local_address(listener, &raw)
            let real = status == 0 ? SocketAddress(raw).port : port
            self.address = .tcp(ip, port: real)
            (host, file) = (.loopback(port: real), nil)
        case .unix(let path):
            listener = dep2p_unix_listen(path, Self.backlog)
            guard listener >= 0 else { throw Self.cannotListen(address, -listener) }
            self.address = address
            (host, file) = (.any, SocketFile(path))
        }
        let rules = RequestRules(host: host, routes: Set(routes.keys))
        loop = ServerLoop(listener, isUnix: file != nil, rules, routes, limits)
        loop.start()
    }

    private static func cannotListen(_ address: LocalAddress, _ error: Int32) -> HTTPError {
        HTTPError(.cannotListen, "cannot listen at \(address): \(String(cString: strerror(error)))")
    }

    /// Ends every connection and the thread, and takes the socket's file away, but for one that somebody has put in its place.
    /// It blocks for a moment.
    package func stop() {
        loop.stop()
        if case .unix(let path) = address, let file, SocketFile(path) == file { unlink(path) }
    }
}
