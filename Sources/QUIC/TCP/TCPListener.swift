internal import CDeP2PReactor
internal import DeP2PIdentity
package import DeP2PReactor
internal import Glibc

/// A relay's TCP sockets: takes connections within bounds, each as a ``TCPLeg``.
///
/// Those over which no QUIC connection runs yet are booked by a ``HandshakeTable``: at their limit the oldest of the
/// ``Subject`` with the most gives way. The others are the endpoint's, and the floors' above it, to bound.
@NetworkActor
package final class TCPListener {
    /// What it takes.
    package struct Limits: Hashable, Sendable {
        /// Connections at once.
        package var connections = 1_024
        /// Those of them without a QUIC connection, their TLS handshake under way or done: in all, and of one subject.
        package var unused = 256
        package var unusedPerSubject = 64

        package init() {}
    }

    private let context: TLSContext
    private let clock: any NetworkClock
    private let limits: Limits
    private let acceptors: [TCPAcceptor]
    private var legs: [UInt64: TCPLeg] = [:]
    private var unused: HandshakeTable
    private var nextID: UInt64 = 0
    /// Connections refused or closed because of a limit.
    package private(set) var refused: UInt64 = 0
    private var onLeg: (@NetworkActor (TCPLeg) -> Void)?

    /// Binds every address.
    ///
    /// - Throws: ``BindError`` naming the address and the system's reason; ``QUICError`` without TLS.
    package convenience init(
        bind addresses: [SocketAddress], limits: Limits = Limits(), clock: any NetworkClock = SystemNetworkClock.shared
    ) throws {
        try self.init(bind: addresses, context: .ephemeralServer(), limits: limits, clock: clock)
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
        var opened: [TCPAcceptor] = []
        for address in addresses { opened.append(try TCPAcceptor(bind: address, clock: clock)) }
        acceptors = opened
    }

    /// The bound addresses, with their real ports.
    package var localAddresses: [SocketAddress] { acceptors.map(\.address) }
    package var connectionCount: Int { legs.count }

    func start(_ onLeg: @escaping @NetworkActor (TCPLeg) -> Void) {
        self.onLeg = onLeg
        for acceptor in acceptors {
            acceptor.start { [weak self] descriptor, peer in
                guard let self else { return _ = Glibc.close(descriptor) }
                take(descriptor, from: peer)
            }
        }
    }

    func close() {
        for acceptor in acceptors { acceptor.close() }
        for leg in legs.values { leg.close() }
        onLeg = nil
    }

    private func take(_ descriptor: Int32, from peer: SocketAddress) {
        guard let onLeg, hasRoom(),
            let leg = traced(
                "a connection over TCP", at: .notable,
                { try TCPLeg(accepted: descriptor, peer: peer, context: context, clock: clock) })
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
