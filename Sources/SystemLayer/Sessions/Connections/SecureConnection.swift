package import DeP2PIdentity
package import DeP2PQUIC
package import DeP2PReactor

/// What the floors above QUIC need of an authenticated connection.
///
/// `remoteNodeID` has been proven by the handshake before a value of this type exists.
@NetworkActor
package protocol SecureConnection: AnyObject, Sendable {
    var remoteNodeID: NodeID { get }
    /// Whether this side dialled.
    var isInitiator: Bool { get }
    var path: ConnectionPath { get }
    /// The peer's own address, which it has proven to receive at; `nil` where it is reached through a relay.
    var validatedPeer: SocketAddress? { get }
    /// Whom the connection counts for where a limit is one per address.
    var subject: Subject { get }
    /// The smoothed round-trip time, once there is a sample.
    var roundTripTime: Duration? { get }
    /// Streams of either side that have not ended in both directions.
    var openStreamCount: Int { get }

    /// Opens a stream; waits for up to `patience` while the peer grants no more, and as long as the connection lasts
    /// when that is `nil`.
    ///
    /// - Throws: `DeadlineExceeded`; `StreamError` when the connection has ended.
    func openByteStream(within patience: Duration?) async throws -> any ByteStream

    /// Opens one that the peer grants now; `nil` where that has to be waited for.
    ///
    /// - Throws: `StreamError` when the connection has ended.
    func openByteStreamAtOnce() throws -> (any ByteStream)?

    /// Hands every stream that the peer opens to `handler`, those already waiting first.
    func setStreamHandler(_ handler: @escaping @NetworkActor (any ByteStream) -> Void)

    /// Calls `handler` after each stream that has ended in both directions. It may wake who waits for that, and no more.
    func setStreamEndHandler(_ handler: @escaping @NetworkActor () -> Void)

    /// Calls `handler` once when the connection has ended; at once when it already has.
    func setCloseHandler(_ handler: @escaping @NetworkActor (SessionEnd) -> Void)

    /// Calls `handler` whenever the connection has moved to another path.
    func setPathHandler(_ handler: @escaping @NetworkActor (ConnectionPath) -> Void)

    /// Sends what waits to be sent and may be, at once: before the connection is closed.
    func sendPending()

    // MARK: Its path, for who keeps that

    /// What the transport has counted.
    var statistics: ConnectionStatistics { get }
    /// What has gone over it; ``settleStreams()`` brings it up to date.
    var traffic: ConnectionTraffic { get }
    /// What had gone through relays when the connection first left them for a straight path, as the wire has it.
    var relayedBeforeStraight: ByteTotals? { get }
    /// The kind of the present path and the family of its addresses.
    var lane: ConnectionTraffic.Lane { get }
    /// Adds what open streams have carried by now to ``traffic`` and their protocols' tallies.
    func settleStreams()
    /// Where streams are counted that never agree on a protocol.
    var namelessTally: TrafficTally? { get set }
    /// Why the peer may be silent, where that is known: told with the end where silence ends the connection.
    var silenceCause: String { get set }
    /// When something last came from the peer.
    var receivedAt: NetworkInstant { get }
    /// When the peer last acknowledged something later than all before: what this side sends arrives; `nil` before the first.
    var acknowledgedAt: NetworkInstant? { get }
    /// Whether work is under way on it that outlives silence; see ``ByteStream/bearsSilence()``.
    var isPatient: Bool { get }

    /// Has something sent soon that the peer acknowledges, so that it learns where this side is now.
    func nudge()

    /// Moves the connection to that address of the peer's once it has answered from there (the initiator only).
    ///
    /// - Returns: whether that has begun; ``setMigrationHandler(_:)`` tells how it ends.
    func migrate(to remote: SocketAddress, kind: ConnectionPath.Kind) -> Bool

    /// The same, by a path that begins at a further socket of this node's.
    func migrate(from socket: SocketAddress, to remote: SocketAddress, kind: ConnectionPath.Kind) -> Bool

    /// Moves it off a dead path at once, and has the new one validated then; otherwise as ``migrate(to:kind:)``.
    func abandonPath(for local: SocketAddress, remote: SocketAddress, kind: ConnectionPath.Kind) -> Bool

    /// The same, to another of the peer's addresses.
    func abandonPath(to remote: SocketAddress, kind: ConnectionPath.Kind) -> Bool

    /// Says how the straight path to that address came about, or is about to.
    func setKind(_ kind: ConnectionPath.Kind, ofPathTo remote: SocketAddress)

    /// Calls `handler` when a migration that was begun has ended, with whether the connection has moved.
    func setMigrationHandler(_ handler: @escaping @NetworkActor (Bool) -> Void)

    /// What relay frames ride on; `nil` for a connection that cannot carry circuits.
    var carrier: Connection? { get }

    /// The TLS exporter (RFC 8446 section 7.5) with an empty context.
    func exportKeyingMaterial(label: String, count: Int) throws -> [UInt8]

    /// Whether this side was dialled and has told the peer in its first flight what ``takeGreeting()`` gives there.
    var hasGreeted: Bool { get }

    /// What the peer, which was dialled, said in its first flight: once.
    func takeGreeting() -> [UInt8]?

    /// Grants the peer all the streams and bytes that a connection may have: it is worth them. See
    /// ``Connection/promote(to:)``.
    func promote()

    /// Grants the peer so many streams at once, and no larger windows.
    func grantStreams(_ count: Int)

    /// Ends the connection; the peer sees `code` and `reason`.
    func close(code: UInt64, reason: String)
}

extension SecureConnection {
    package func sendPending() {}
    package var traffic: ConnectionTraffic { ConnectionTraffic() }
    package var relayedBeforeStraight: ByteTotals? { nil }
    package var namelessTally: TrafficTally? {
        get { nil }
        set {}
    }
    package var silenceCause: String {
        get { "" }
        set {}
    }
    package var isPatient: Bool { false }
    package var hasGreeted: Bool { false }
    package func takeGreeting() -> [UInt8]? { nil }
    package func settleStreams() {}
    package func migrate(from socket: SocketAddress, to remote: SocketAddress, kind: ConnectionPath.Kind) -> Bool {
        false
    }
    package var lane: ConnectionTraffic.Lane { ConnectionTraffic.Lane(PathClass(path.kind), .v4) }
    package func promote() {}
    package func grantStreams(_ count: Int) {}
    package func openByteStreamAtOnce() throws -> (any ByteStream)? { nil }
    package func openByteStream() async throws -> any ByteStream { try await openByteStream(within: nil) }
}

extension ConnectionPath {
    /// The peer's own address, where packets go straight to it; a relayed path has none.
    package var peerAddress: SocketAddress? {
        switch kind {
        case .direct, .punched: tcpPeer ?? remote
        case .relay: nil
        }
    }
}
