internal import DeP2PIdentity
package import DeP2PReactor
internal import Glibc

/// The way to or from a relay where UDP is blocked: datagrams in TLS over one TCP connection.
///
/// Below QUIC it looks like a socket of its own: both ends of the connection have fake addresses of fd00::/8, so that
/// everything above treats it as one more path. What the connection cannot take is dropped, as a narrow path would.
///
/// States: connecting (a client's) → handshaking → open → closed, each of the first two within
/// ``handshakeDeadline``. Calling order: ``start(_:)``, ``waitOpen()`` (a client), ``send(_:)``, ``close()``. It closes
/// itself with the TCP connection, and when no QUIC connection has used it for ``unusedTime``.
@NetworkActor
package final class TCPLeg: PacketDriver {
    /// From the first packet until TLS stands.
    package nonisolated static let handshakeDeadline = Duration.seconds(10)
    /// How long it stays without a QUIC connection over it.
    package nonisolated static let unusedTime = Duration.seconds(10)
    /// QUIC connections over one leg, at once.
    static let connectionLimit = 4
    /// Bytes that wait in the queues of all legs, from which on each has what the slowest has: whoever sends to many that
    /// read nothing fills no relay's memory.
    static let waitingLimit = 32 * 1024 * 1024
    /// Bytes that wait in this process's legs.
    private(set) static var waiting = 0
    /// The memory of the queue that emptied last.
    private static var spare: [UInt8] = []
    /// Records read before other work gets its turn.
    private static let recordsPerTurn = 16
    /// What reading is for: the set's own functions take a microsecond for it.
    private static let incoming = PollEvents.readable.rawValue | PollEvents.failed.rawValue | PollEvents.hungUp.rawValue
    /// TLS records' limit (RFC 8446 5.1).
    private static let recordSize = 16_384

    enum State: Equatable {
        case connecting
        case handshaking
        case open
        case closed
    }

    /// Where the other end of the TCP connection is.
    package let peer: SocketAddress
    /// The fake addresses that stand for the connection.
    let local: SocketAddress
    let remote: SocketAddress
    private(set) var state: State
    /// Datagrams dropped because the connection was too slow for them.
    package private(set) var droppedDatagrams: UInt64 = 0
    var onClose: (@NetworkActor (TCPLeg) -> Void)?
    /// Told when TCP stands, and TLS is to follow.
    var onConnected: (@NetworkActor () -> Void)?
    /// Told whether a QUIC connection runs over the leg, when that changes.
    var onUse: (@NetworkActor (Bool) -> Void)?
    private let socket: TLSSocket
    private let clock: any NetworkClock
    private weak var sink: (any PacketSink)?
    private var splitter = DatagramSplitter()
    private var queue = DatagramQueue()
    private let opened = Waiter<Void>()
    private var deadline: TimerToken?
    private var flushIsScheduled = false
    private var isBlocked = false
    /// Records that are sent at once: more where the socket has taken all of the last ones, so that little waits outside the
    /// queue on a slow one.
    private var batch = 1
    private var interest: PollEvents = []
    private var watch: DescriptorWatch?
    private var connections: [UInt64: Connection] = [:]

    /// A client's leg, on its way to `peer`.
    ///
    /// - Throws: ``QUICError`` `.refused`, `.unreachable`.
    init(
        connectingTo peer: SocketAddress, segments: SegmentSize = .usual, context: TLSContext, clock: any NetworkClock
    ) throws(QUICError) {
        do {
            socket = try TLSSocket(connectingTo: peer, largestSegment: segments.rawValue, context: context)
        } catch {
            throw QUICError(error)
        }
        state = .connecting
        (self.peer, self.clock) = (peer, clock)
        (local, remote) = (FakeAddress.make(), FakeAddress.make())
    }

    /// A server's leg over an accepted connection, which it takes over; when it throws, that is still the caller's.
    init(accepted descriptor: Int32, peer: SocketAddress, context: TLSContext, clock: any NetworkClock)
        throws(QUICError)
    {
        do { socket = try TLSSocket(descriptor: descriptor, context: context) } catch { throw QUICError(error) }
        state = .handshaking
        (self.peer, self.clock) = (peer, clock)
        (local, remote) = (FakeAddress.make(), FakeAddress.make())
    }

    /// Waits until datagrams may be sent.
    ///
    /// - Throws: ``QUICError`` with the reason why the connection did not come about.
    func waitOpen() async throws { try await opened.value() }

    // MARK: PacketDriver

    package var localAddresses: [SocketAddress] { [local] }

    /// Nothing is promised: behind the relay there may be any path.
    package func knownDatagramSize(to remote: SocketAddress) -> Int? { nil }

    package func start(_ sink: any PacketSink) {
        self.sink = sink
        deadline = clock.schedule(after: Self.handshakeDeadline) { [weak self] in
            self?.end(QUICError(.timeout, "no TLS over TCP within \(Self.handshakeDeadline)"))
        }
        interest = state == .connecting ? .writable : .readable
        watch = DescriptorWatch(socket.descriptor, for: interest) { [weak self] events in
            self?.handle(events)
        }
    }

    package func send(_ burst: PacketBurst) -> SendOutcome { send(burst, after: nil) }

    /// - Parameter header: what goes in front of each datagram.
    func send(_ burst: PacketBurst, after header: UnsafeRawBufferPointer?) -> SendOutcome {
        guard state == .open, burst.segment > 0 else { return .failed(ENETUNREACH) }
        let now = clock.now
        var offset = 0
        while offset < burst.bytes.count {
            let end = min(offset + burst.segment, burst.bytes.count)
            append(UnsafeRawBufferPointer(rebasing: burst.bytes[offset..<end]), after: header, now: now)
            offset = end
            if !isBlocked, queue.count >= batch * Self.recordSize { flush() }
        }
        // What many small datagrams of one turn need is one record.
        guard !queue.isEmpty, !isBlocked, !flushIsScheduled else { return .sent }
        flushIsScheduled = true
        NetworkActor.beforeWaiting { [weak self] in
            self?.flushIsScheduled = false
            self?.flush()
        }
        return .sent
    }

    private func append(_ datagram: UnsafeRawBufferPointer, after header: UnsafeRawBufferPointer?, now: NetworkInstant)
    {
        let unsent = isBlocked ? socket.unsent : 0
        let before = queue.count
        queue.begin(in: &Self.spare)
        if !queue.append(datagram, after: header, now: now, besides: unsent, isScarce: Self.isScarce) {
            droppedDatagrams &+= 1
        }
        Self.waiting += queue.count - before
    }

    private static var isScarce: Bool { waiting >= waitingLimit }

    /// Sends what is left, as far as it goes at once, and ends the TCP connection.
    package func close() { end(QUICError(.endpointClosed, "the TCP connection was closed")) }

    // MARK: Use

    /// Counts `connection` among those that run over this leg: they end with it.
    ///
    /// - Returns: false at ``connectionLimit``.
    func attach(_ connection: Connection) -> Bool {
        guard connections.count < Self.connectionLimit, state == .open else { return false }
        if connections.isEmpty { onUse?(true) }
        connections[connection.id] = connection
        connection.onClose.append { [weak self, id = connection.id] _ in self?.detach(id) }
        return true
    }

    private func detach(_ id: UInt64) {
        guard connections.removeValue(forKey: id) != nil else { return }
        if connections.isEmpty, state == .open { onUse?(false) }
        endUnlessUsed()
    }

    private func endUnlessUsed() {
        guard state == .open, connections.isEmpty else { return }
        deadline.map(clock.cancel)
        deadline = clock.schedule(after: Self.unusedTime) { [weak self] in
            guard let self, connections.isEmpty else { return }
            close()
        }
    }

    // MARK: Events

    private func handle(_ events: PollEvents) {
        switch state {
        case .connecting: connected()
        case .handshaking: shakeHands()
        case .open:
            if events.contains(.writable) {
                isBlocked = false
                flush()
            }
            // An error or a hang-up shows when reading.
            if state == .open, events.rawValue & Self.incoming != 0 { read() }
        case .closed: break
        }
    }

    private func connected() {
        do throws(SocketError) {
            try socket.finishConnect(to: peer)
            state = .handshaking
            onConnected?()
            onConnected = nil
            shakeHands()
        } catch {
            end(QUICError(error))
        }
    }

    private func shakeHands() {
        switch socket.handshake() {
        case .wantsRead: wait(for: .readable)
        case .wantsWrite: wait(for: .writable)
        case .ended(let failed):
            end(QUICError(.internalError, failed ? "no TLS 1.3 at TCP \(peer)" : "TCP \(peer) closed the connection"))
        case .done:
            state = .open
            wait(for: .readable)
            endUnlessUsed()
            opened.resume(returning: ())
            read()
        }
    }

    private func wait(for events: PollEvents) {
        guard events != interest else { return }
        interest = events
        watch?.change(to: events)
    }

    private func read() {
        for _ in 0..<Self.recordsPerTurn {
            guard state == .open else { return }
            let buffer = Self.readBuffer.bytes
            switch socket.read(into: buffer) {
            case .bytes(let count):
                guard receive(UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])) else { return }
            // TLS 1.3 writes for itself only answers to key updates, which the next write carries.
            case .blocked(.wantsRead), .blocked(.wantsWrite), .blocked(.done): return
            case .blocked(.ended): return end(QUICError(.closedByPeer, "the TCP connection ended"))
            }
        }
        // After other work had its turn. A part of a record may be held too: then that turn finds nothing to read.
        guard state == .open, socket.holdsInput else { return }
        _ = clock.schedule(after: .zero) { [weak self] in self?.read() }
    }

    /// One record at a time is handled, on the one thread there is: all legs share the room for it.
    private static let readBuffer = Memory(byteCount: recordSize)

    private func receive(_ bytes: UnsafeMutableRawBufferPointer) -> Bool {
        // Out of the property while datagrams are delivered: what they set off may end this leg.
        var splitter = splitter
        self.splitter = DatagramSplitter()
        let isSound = splitter.receive(bytes) { train, segment in
            deliver(train, segment)
            return state == .open
        }
        self.splitter = splitter
        if !isSound { end(QUICError(.internalError, "TCP \(peer) speaks something else")) }
        return isSound && state == .open
    }

    private func deliver(_ train: UnsafeMutableRawBufferPointer, _ segment: Int) {
        guard let sink, let first = train.first else { return }
        if RelayFrame.isType(first),
            sink.forward(train: train, segment: segment, local: local, remote: remote, ecn: 0)
        {
            return
        }
        var offset = 0
        while offset < train.count, state == .open {
            let end = min(offset + segment, train.count)
            sink.receive(
                UnsafeMutableRawBufferPointer(rebasing: train[offset..<end]), local: local, remote: remote, ecn: 0)
            offset = end
        }
    }

    private func flush() {
        guard state == .open, !isBlocked else { return }
        let before = held
        var progress = socket.flush()
        while progress == .done, !queue.isEmpty {
            queue.drain(batch * Self.recordSize, leaving: &Self.spare) { bytes in
                switch socket.write(bytes) {
                case .bytes(let count): return count
                case .blocked(let status): progress = status
                }
                return 0
            }
            if progress == .done, socket.unsent > 0 { progress = .wantsWrite }
            batch = progress == .done && !Self.isScarce ? min(batch * 2, TLSSocket.recordsPerWrite) : 1
        }
        if case .ended = progress {
            // Not from within a send, which may be a connection's that ends with the leg.
            NetworkActor.beforeWaiting { [weak self] in self?.end(QUICError(.closedByPeer, "the TCP connection ended"))
            }
        } else {
            isBlocked = progress != .done
        }
        if isBlocked { queue.settle(leaving: &Self.spare) }
        Self.waiting += held - before
        wait(for: isBlocked ? [.readable, .writable] : .readable)
    }

    /// Bytes that wait for the socket.
    private var held: Int { queue.count + socket.unsent }

    private func end(_ error: QUICError) {
        guard state != .closed else { return }
        flush()
        Self.waiting -= held
        queue = DatagramQueue()
        state = .closed
        deadline.map(clock.cancel)
        watch?.cancel()
        socket.close()
        opened.resume(throwing: error)
        let ended = connections
        connections.removeAll()
        for connection in ended.valuesInOrder { connection.lostPath(error.message) }
        sink = nil
        onClose?(self)
        onClose = nil
        onUse = nil
    }
}
