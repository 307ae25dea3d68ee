internal import CQUICShim
internal import Glibc
internal import Identity

/// A relay's TCP sockets: takes connections within bounds, each as a ``TCPLeg``.
///
/// Those over which no QUIC connection runs yet are booked by a ``HandshakeTable``: at their limit the oldest of the
/// ``Subject`` with the most gives way. The others are the endpoint's, and the floors' above it, to bound.
@NetworkActor
public final class TCPListener {
    /// What it takes.
    public struct Limits: Hashable, Sendable {
        /// Connections at once.
        public var connections = 1_024
        /// Those of them without a QUIC connection, their TLS handshake under way or done: in all, and of one subject.
        public var unused = 256
        public var unusedPerSubject = 64

        public init() {}
    }

    private static let backlog: Int32 = 512
    /// Connections taken before other work gets its turn.
    private static let acceptsPerTurn = 16
    /// How long nothing is accepted when the process has no descriptor left.
    private static let exhaustionPause = Duration.milliseconds(200)

    private let context: TLSContext
    private let clock: any NetworkClock
    private let limits: Limits
    private var sockets: [(descriptor: Int32, address: SocketAddress)] = []
    private var legs: [UInt64: TCPLeg] = [:]
    private var unused: HandshakeTable
    private var nextID: UInt64 = 0
    /// Connections refused or closed because of a limit.
    public private(set) var refused: UInt64 = 0
    private var onLeg: (@NetworkActor (TCPLeg) -> Void)?

    /// Binds every address.
    ///
    /// - Throws: ``BindError`` naming the address and the system's reason; ``QUICError`` without TLS.
    public convenience init(
        bind addresses: [SocketAddress], limits: Limits = Limits(), clock: any NetworkClock = SystemNetworkClock.shared
    ) throws {
        try self.init(bind: addresses, context: TLSContext(.server), limits: limits, clock: clock)
    }

    init(
        bind addresses: [SocketAddress], context: TLSContext, limits: Limits = Limits(),
        clock: any NetworkClock = SystemNetworkClock.shared
    ) throws(BindError) {
        self.context = context
        self.clock = clock
        self.limits = limits
        unused = HandshakeTable(
            limits: HandshakeTable.Limits(
                total: limits.unused, perSubject: limits.unusedPerSubject, unproven: 0, unprovenPerSubject: 0))
        for address in addresses {
            var raw = address.raw
            let descriptor = dep2p_tcp_listen(&raw, Self.backlog)
            let status = descriptor < 0 ? descriptor : dep2p_udp_local_address(descriptor, &raw)
            guard status == 0 else {
                for socket in sockets { Glibc.close(socket.descriptor) }
                if descriptor >= 0 { Glibc.close(descriptor) }
                throw BindError(address: address, errno: -status)
            }
            sockets.append((descriptor, SocketAddress(raw)))
        }
    }

    /// The bound addresses, with their real ports.
    public var localAddresses: [SocketAddress] { sockets.map(\.address) }
    public var connectionCount: Int { legs.count }

    func start(_ onLeg: @escaping @NetworkActor (TCPLeg) -> Void) {
        self.onLeg = onLeg
        for socket in sockets { listen(on: socket.descriptor) }
    }

    private func listen(on descriptor: Int32) {
        NetworkActor.executor.add(descriptor: descriptor, events: .readable) { [weak self] _ in
            self?.accept(on: descriptor)
        }
    }

    func close() {
        for socket in sockets {
            NetworkActor.executor.remove(descriptor: socket.descriptor)
            Glibc.close(socket.descriptor)
        }
        sockets = []
        for leg in legs.values { leg.close() }
        onLeg = nil
    }

    private func accept(on descriptor: Int32) {
        for _ in 0..<Self.acceptsPerTurn {
            var raw = dep2p_address()
            let accepted = dep2p_tcp_accept(descriptor, &raw)
            if accepted >= 0 {
                take(accepted, from: SocketAddress(raw))
            } else if [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(-accepted) {
                return pause(descriptor)
            } else if accepted == -EAGAIN {
                return
            }
        }
    }

    /// The connection that waits would wake the thread again and again.
    private func pause(_ descriptor: Int32) {
        NetworkActor.executor.remove(descriptor: descriptor)
        _ = clock.schedule(after: Self.exhaustionPause) { [weak self] in
            guard let self, sockets.contains(where: { $0.descriptor == descriptor }) else { return }
            listen(on: descriptor)
        }
    }

    private func take(_ descriptor: Int32, from peer: SocketAddress) {
        guard let onLeg, hasRoom(),
            let leg = try? TCPLeg(accepted: descriptor, peer: peer, context: context, clock: clock)
        else {
            refused &+= 1
            Glibc.close(descriptor)
            return
        }
        nextID += 1
        let id = nextID
        legs[id] = leg
        onLeg(leg)
        let forwarded = leg.onClose
        leg.onClose = { [weak self] leg in
            forwarded?(leg)
            self?.legs[id] = nil
            self?.unused.end(id)
        }
        leg.onUse = { [weak self] isUsed in
            if isUsed { self?.unused.end(id) } else { self?.becameUnused(id, peer) }
        }
        becameUnused(id, peer)
    }

    private func hasRoom() -> Bool {
        guard legs.count >= limits.connections else { return true }
        guard let oldest = unused.displace() else { return false }
        giveWay(oldest)
        return true
    }

    private func becameUnused(_ id: UInt64, _ peer: SocketAddress) {
        guard legs[id] != nil else { return }
        // The TCP handshake has proven the address.
        let verdict = unused.admit(id, subject: Subject(peer.ip), isProven: true)
        if case .accept(let displaced?) = verdict { giveWay(displaced) }
    }

    private func giveWay(_ id: UInt64) {
        refused &+= 1
        legs[id]?.close()
    }
}
