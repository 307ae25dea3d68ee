public import DeP2PIdentity
public import DeP2PQUIC
public import DeP2PReactor
public import DeP2PSessions
import DeP2PTestSupport

/// Two ends of an authenticated connection in memory: what ``Session`` needs, without packets.
@NetworkActor
public final class MemoryConnection: SecureConnection {
    public let remoteNodeID: NodeID
    public let isInitiator: Bool
    public let path: ConnectionPath
    public var validatedPeer: SocketAddress? { path.peerAddress }
    public var subject: Subject { path.peerAddress.map { Subject($0.ip) } ?? .relay(0) }
    public var roundTripTime: Duration? { .milliseconds(1) }
    /// Both ends export the same value; set another on one to have two connections look like one man's in the middle.
    public var exporterSecret: [UInt8]
    public private(set) var openedStreams = 0
    private var streams: [PipeStream] = []
    private weak var other: MemoryConnection?
    private var streamHandler: (@NetworkActor (any ByteStream) -> Void)?
    private var waiting: [PipeStream] = []
    private var closeHandler: (@NetworkActor (SessionEnd) -> Void)?
    public private(set) var end: SessionEnd?

    private init(remoteNodeID: NodeID, isInitiator: Bool, path: ConnectionPath, secret: [UInt8]) {
        self.remoteNodeID = remoteNodeID
        self.isInitiator = isInitiator
        self.path = path
        exporterSecret = secret
    }

    public static func pair(
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

    public var openStreamCount: Int { 0 }

    /// Set to have the peer grant no streams.
    public var grantsStreams = true
    public var clock: (any NetworkClock)?

    public func openByteStream(within patience: Duration?) async throws -> any ByteStream {
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

    public func setStreamHandler(_ handler: @escaping @NetworkActor (any ByteStream) -> Void) {
        streamHandler = handler
        let streams = waiting
        waiting = []
        for stream in streams { handler(stream) }
    }

    public func setCloseHandler(_ handler: @escaping @NetworkActor (SessionEnd) -> Void) {
        if let end { return handler(end) }
        closeHandler = handler
    }

    /// The path of a connection in memory never changes.
    public func setPathHandler(_ handler: @escaping @NetworkActor (ConnectionPath) -> Void) {}

    public func exportKeyingMaterial(label: String, count: Int) throws -> [UInt8] {
        hkdfSHA256(key: exporterSecret, salt: [], info: Array(label.utf8), count: count)
    }

    public func close(code: UInt64, reason: String) {
        other?.finish(SessionEnd(.closedByPeer(CloseCode(rawValue: code)), reason: reason))
        finish(SessionEnd(.closedLocally(CloseCode(rawValue: code)), reason: reason))
    }

    /// Ends both sides as an idle timeout does.
    public func timeOut() {
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
