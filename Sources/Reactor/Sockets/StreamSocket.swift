internal import CDeP2PReactor
internal import Glibc

/// A connected stream of bytes of the kernel's, over TCP or a Unix socket, as it is: without TLS.
///
/// Calling order: reads and writes at will, one of each at a time; ``finish()`` after the last write; ``close()``. What waits
/// then throws ``SocketError`` `.closed`; cancelling its task ends a wait too.
@NetworkActor
package final class StreamSocket {
    private var descriptor: Int32
    /// There only while somebody waits: epoll tells of a peer that hung up unasked, again and again.
    private var watch: DescriptorWatch?
    private var interest: PollEvents = []
    private var reader: Waiter<Void>?
    private var writer: Waiter<Void>?

    /// Takes a connected, non-blocking socket over.
    package init(_ descriptor: Int32) { self.descriptor = descriptor }

    deinit {
        if descriptor >= 0 { Glibc.close(descriptor) }
    }

    /// A TCP connection. It takes as long as the kernel tries, minutes: give it a deadline.
    ///
    /// - Throws: ``SocketError`` `.refused`, `.timeout`, `.unreachable`; `CancellationError`.
    package static func connect(to remote: SocketAddress) async throws -> StreamSocket {
        var raw = remote.raw
        let descriptor = dep2p_tcp_connect(&raw, 0)
        guard descriptor >= 0 else { throw SocketError(connectingTo: remote, errno: -descriptor) }
        let socket = StreamSocket(descriptor)
        do {
            try await socket.wait(for: .writable)
            let errno = dep2p_tcp_connect_error(descriptor)
            guard errno == 0 else { throw SocketError(connectingTo: remote, errno: errno) }
        } catch {
            socket.close()
            throw error
        }
        return socket
    }

    /// A connection to a Unix socket, made at once or not at all.
    ///
    /// - Throws: ``SocketError`` `.refused`, `.unreachable`.
    package static func connect(path: String) throws(SocketError) -> StreamSocket {
        let descriptor = dep2p_unix_connect(path)
        guard descriptor >= 0 else { throw SocketError(connectingTo: path, errno: -descriptor) }
        return StreamSocket(descriptor)
    }

    /// What has arrived, `count` bytes at most and one at least; `nil` after all that the other side sent.
    ///
    /// - Throws: ``SocketError`` `.broken`, `.closed`; `CancellationError`.
    package func read(upTo count: Int) async throws -> [UInt8]? {
        while true {
            var failure: Int32 = 0
            let descriptor = try open()
            let bytes = [UInt8](unsafeUninitializedCapacity: max(count, 1)) { buffer, filled in
                let got = recv(descriptor, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT))
                failure = got < 0 ? errno : 0
                filled = max(got, 0)
            }
            if failure == 0 { return bytes.isEmpty ? nil : bytes }
            try await goOn(after: failure, when: .readable)
        }
    }

    /// Writes all of it; returns when the kernel has taken it.
    ///
    /// - Throws: as ``read(upTo:)``.
    package func write(_ bytes: [UInt8]) async throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let descriptor = try open()
            let sent = rest.withUnsafeBytes { bytes in
                send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
            }
            if sent >= 0 { rest = rest.dropFirst(sent) } else { try await goOn(after: errno, when: .writable) }
        }
    }

    /// Tells the other side that nothing more comes; it may still be read from.
    package func finish() {
        if descriptor >= 0 { shutdown(descriptor, Int32(SHUT_WR)) }
    }

    package func close() {
        guard descriptor >= 0 else { return }
        watch?.cancel()
        (watch, interest) = (nil, [])
        dep2p_tcp_close(descriptor)
        descriptor = -1
        for waiter in [reader, writer] { waiter?.resume(throwing: Self.closed) }
    }

    // MARK: Waiting

    private static let closed = SocketError(.closed, "the socket was closed")

    private func open() throws(SocketError) -> Int32 {
        guard descriptor >= 0 else { throw Self.closed }
        return descriptor
    }

    private func goOn(after errno: Int32, when events: PollEvents) async throws {
        switch errno {
        case EINTR: break
        case EAGAIN: try await wait(for: events)
        default: throw SocketError(.broken, "the connection broke: \(String(cString: strerror(errno)))")
        }
    }

    private func wait(for events: PollEvents) async throws {
        let waiter = Waiter<Void>()
        if events == .readable {
            precondition(reader == nil, "one read at a time")
            reader = waiter
        } else {
            precondition(writer == nil, "one write at a time")
            writer = waiter
        }
        watchForWaiters()
        defer {
            if events == .readable { reader = nil } else { writer = nil }
            watchForWaiters()
        }
        try await waiter.value()
    }

    private func watchForWaiters() {
        var wanted: PollEvents = []
        if reader?.isResolved == false { wanted.insert(.readable) }
        if writer?.isResolved == false { wanted.insert(.writable) }
        guard wanted != interest, descriptor >= 0 else { return }
        interest = wanted
        if wanted.isEmpty {
            watch?.cancel()
            watch = nil
        } else if let watch {
            watch.change(to: wanted)
        } else {
            watch = DescriptorWatch(descriptor, for: wanted) { [weak self] in self?.handle($0) }
        }
    }

    private func handle(_ events: PollEvents) {
        let hasEnded = !events.isDisjoint(with: [.failed, .hungUp])
        if hasEnded || events.contains(.readable) { reader?.resume(returning: ()) }
        if hasEnded || events.contains(.writable) { writer?.resume(returning: ()) }
        watchForWaiters()
    }
}
