package import DeP2PIdentity
package import DeP2PQUIC
package import DeP2PReactor
package import DeP2PSessions
import DeP2PTestSupport

/// Two ends of an authenticated connection in memory: what ``Session`` needs, without packets.
@NetworkActor
package final class MemoryConnection: SecureConnection {
    package let remoteNodeID: NodeID
    package let isInitiator: Bool
    package let path: ConnectionPath
    package var validatedPeer: SocketAddress? { path.peerAddress }
    package var subject: Subject { path.peerAddress.map { Subject($0.ip) } ?? .relay(0) }
    package var roundTripTime: Duration? { .milliseconds(1) }
    /// Both ends export the same value; set another on one to have two connections look like one man's in the middle.
    package var exporterSecret: [UInt8]
    package private(set) var openedStreams = 0
    private var streams: [PipeStream] = []
    private weak var other: MemoryConnection?
    private var streamHandler: (@NetworkActor (any ByteStream) -> Void)?
    private var waiting: [PipeStream] = []
    private var closeHandler: (@NetworkActor (SessionEnd) -> Void)?
    package private(set) var end: SessionEnd?

    private init(remoteNodeID: NodeID, isInitiator: Bool, path: ConnectionPath, secret: [UInt8]) {
        self.remoteNodeID = remoteNodeID
        self.isInitiator = isInitiator
        self.path = path
        exporterSecret = secret
    }

    package static func pair(
        initiator: NodeID, acceptor: NodeID, initiatorAddress: SocketAddress = SocketAddress(.v4Loopback, port: 1000),
        acceptorAddress: SocketAddress = SocketAddress(.v4Loopback, port: 2000)
    ) -> (initiator: MemoryConnection, acceptor: MemoryConnection) {
        let secret = SecureRandom.bytes(32)
        let left = MemoryConnection(
            remoteNodeID: acceptor, isInitiator: true,
            path: ConnectionPath(kind: .direct, local: initiatorAddress, remote: acceptorAddress), secret: secret)
        let right = MemoryConnection(
            remoteNodeID: initiator, isInitiator: false,
            path: ConnectionPath(kind: .direct, local: acceptorAddress, remote: initiatorAddress), secret: secret)
        left.other = right
        right.other = left
        return (left, right)
    }

    package var openStreamCount: Int { 0 }

    /// A connection in memory has one path, which never dies, and counts nothing.
    package var statistics: ConnectionStatistics { .none }
    package var receivedAt: NetworkInstant { clock?.now ?? NetworkInstant(nanoseconds: 0) }
    package var carrier: Connection? { nil }
    package func nudge() {}
    package func migrate(to remote: SocketAddress, kind: ConnectionPath.Kind) -> Bool { false }
    package func abandonPath(
        for local: SocketAddress, remote: SocketAddress, kind: ConnectionPath.Kind
    ) -> Bool { false }
    package func setKind(_ kind: ConnectionPath.Kind, ofPathTo remote: SocketAddress) {}
    package func setMigrationHandler(_ handler: @escaping @NetworkActor (Bool) -> Void) {}

    /// Set to have the peer grant no streams.
    package var grantsStreams = true
    package var clock: (any NetworkClock)?

    package func openByteStream(within patience: Duration?) async throws -> any ByteStream {
        if !grantsStreams, let clock, let patience {
            try await clock.sleep(for: patience)
            throw DeadlineExceeded(duration: patience)
        }
        guard end == nil, let other else { throw StreamError(.connectionClosed) }
        let (mine, theirs) = PipeStream.pair()
        openedStreams += 1
        streams.append(mine)
        other.streams.append(theirs)
        if let handler = other.streamHandler { handler(theirs) } else { other.waiting.append(theirs) }
        return mine
    }

    package func setStreamHandler(_ handler: @escaping @NetworkActor (any ByteStream) -> Void) {
        streamHandler = handler
        let streams = waiting
        waiting = []
        for stream in streams { handler(stream) }
    }

    package func setCloseHandler(_ handler: @escaping @NetworkActor (SessionEnd) -> Void) {
        if let end { return handler(end) }
        closeHandler = handler
    }

    /// The path of a connection in memory never changes.
    package func setPathHandler(_ handler: @escaping @NetworkActor (ConnectionPath) -> Void) {}

    package func exportKeyingMaterial(label: String, count: Int) throws -> [UInt8] {
        hkdfSHA256(key: exporterSecret, salt: [], info: Array(label.utf8), count: count)
    }

    package func close(code: UInt64, reason: String) {
        other?.finish(SessionEnd(.closedByPeer(CloseCode(rawValue: code)), reason: reason))
        finish(SessionEnd(.closedLocally(CloseCode(rawValue: code)), reason: reason))
    }

    /// Ends both sides as an idle timeout does.
    package func timeOut() {
        other?.finish(SessionEnd(.timeout))
        finish(SessionEnd(.timeout))
    }

    private func finish(_ end: SessionEnd) {
        guard self.end == nil else { return }
        self.end = end
        for stream in streams { stream.reset(StreamCode.cancelled.rawValue) }
        streams = []
        closeHandler?(end)
        closeHandler = nil
        streamHandler = nil
    }
}
