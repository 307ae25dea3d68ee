internal import CDeP2PReactor
internal import Glibc

/// A listening Unix socket at a path that only this user's processes may connect to.
///
/// A path where nobody listens any more is taken over, any other that exists is left alone. The file goes with the
/// socket. Calling order: ``init(path:clock:)``, ``start(_:)`` once, ``close()``.
@NetworkActor
package final class UnixAcceptor {
    package let path: String
    private let file: FileNumber?
    private let loop: AcceptLoop

    /// Which file a path names.
    private struct FileNumber: Equatable {
        let device: dev_t
        let inode: ino_t

        init?(_ path: String) {
            var status = stat()
            guard lstat(path, &status) == 0 else { return nil }
            (device, inode) = (status.st_dev, status.st_ino)
        }
    }

    /// - Throws: ``SocketError`` `.cannotListen` naming the path and the system's reason.
    package init(path: String, clock: any NetworkClock = SystemNetworkClock.shared) throws(SocketError) {
        let descriptor = dep2p_unix_listen(path, AcceptLoop.backlog)
        guard descriptor >= 0 else {
            throw SocketError(.cannotListen, "cannot listen at \(path): \(String(cString: strerror(-descriptor)))")
        }
        self.path = path
        file = FileNumber(path)
        loop = AcceptLoop(descriptor, clock: clock)
    }

    /// - Parameter onConnection: takes each connection over.
    package func start(_ onConnection: @escaping @NetworkActor (StreamSocket) -> Void) {
        loop.start { listening in
            let accepted = dep2p_unix_accept(listening)
            if accepted >= 0 { onConnection(StreamSocket(accepted)) }
            return accepted
        }
    }

    package func close() {
        loop.close()
        // Somebody may have put another in its place.
        if let file, FileNumber(path) == file { unlink(path) }
    }
}
