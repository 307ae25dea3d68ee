package import DeP2PIdentity
package import DeP2PQUIC
package import DeP2PReactor
package import DeP2PSessions

/// One end of an authenticated connection in memory: what `Session` needs, without packets.
@NetworkActor
package final class LightConnection: SecureConnection {
    package let remoteNodeID: NodeID
    package let isInitiator: Bool
    package let path: ConnectionPath
    package var validatedPeer: SocketAddress? { path.peerAddress }
    package var subject: Subject { path.peerAddress.map { Subject($0.ip) } ?? .relay(0) }
    package var roundTripTime: Duration? { .milliseconds(1) }
    /// Both ends export the same value; set another on one to have two connections look like one man's in the middle.
    package var exporterSecret: [UInt8]
    package private(set) var hasGreeted = false
    private var greeting: [UInt8]?
    package private(set) var openedStreams = 0
    private var streams: [LightStream] = []
    private weak var other: LightConnection?
    private var streamHandler: (@NetworkActor (any ByteStream) -> Void)?
    private var waiting: [LightStream] = []
    private var streamEndHandler: (@NetworkActor () -> Void)?
    private var closeHandler: (@NetworkActor (SessionEnd) -> Void)?
    package private(set) var end: SessionEnd?
    var onEnd: (@NetworkActor (SessionEnd) -> Void)?
    /// From this end to the other; `nil` where everything arrives at once.
    private let travel: Travel?
    var isImmediate: Bool { travel == nil }

    private init(remoteNodeID: NodeID, isInitiator: Bool, path: ConnectionPath, secret: [UInt8], travel: Travel?) {
        self.remoteNodeID = remoteNodeID
        self.isInitiator = isInitiator
        self.path = path
        exporterSecret = secret
        self.travel = travel
    }

    /// What this end does to the other.
    private func tell(_ action: @escaping @NetworkActor (LightConnection) -> Void) {
        guard let travel else {
            if let other { action(other) }
            return
        }
        travel { [other] in if let other { action(other) } }
    }

    package static func pair(
        initiator: NodeID, acceptor: NodeID, initiatorAddress: SocketAddress = SocketAddress(.v4Loopback, port: 1000),
        acceptorAddress: SocketAddress = SocketAddress(.v4Loopback, port: 2000),
        secret: [UInt8] = SecureRandom.bytes(32), travel: (there: Travel?, back: Travel?) = (nil, nil)
    ) -> (initiator: LightConnection, acceptor: LightConnection) {
        let left = LightConnection(
            remoteNodeID: acceptor, isInitiator: true,
            path: ConnectionPath(kind: .direct, local: initiatorAddress, remote: acceptorAddress), secret: secret,
            travel: travel.there)
        let right = LightConnection(
            remoteNodeID: initiator, isInitiator: false,
            path: ConnectionPath(kind: .direct, local: acceptorAddress, remote: initiatorAddress), secret: secret,
            travel: travel.back)
        left.other = right
        right.other = left
        return (left, right)
    }

    /// Where everything arrives at once, no stream is one that the connection's end would wait for.
    package var openStreamCount: Int { isImmediate ? 0 : streams.count { !$0.isOver } }

    /// A connection in memory has one path, which never dies, and counts nothing.
    package var statistics: ConnectionStatistics { .none }
    package var acknowledgedAt: NetworkInstant? { clock?.now }
    package var receivedAt: NetworkInstant { clock?.now ?? NetworkInstant(nanoseconds: 0) }
    package var carrier: Connection? { nil }
    package func nudge() {}
    package func migrate(to remote: SocketAddress, kind: ConnectionPath.Kind) -> Bool { false }
    package func abandonPath(
        for local: SocketAddress, remote: SocketAddress, kind: ConnectionPath.Kind
    ) -> Bool { false }
    package func abandonPath(to remote: SocketAddress, kind: ConnectionPath.Kind) -> Bool { false }
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
        return try open()
    }

    package func openByteStreamAtOnce() throws -> (any ByteStream)? { grantsStreams ? try open() : nil }

    private func open() throws -> LightStream {
        guard end == nil, let other else { throw StreamError(.connectionClosed) }
        let (mine, theirs) = LightStream.pair((travel, other.travel))
        openedStreams += 1
        keep(mine)
        tell { $0.take(theirs) }
        return mine
    }

    private func take(_ stream: LightStream) {
        guard end == nil else { return stream.reset(StreamCode.cancelled.rawValue) }
        keep(stream)
        if let streamHandler { streamHandler(stream) } else { waiting.append(stream) }
    }

    private func keep(_ stream: LightStream) {
        if !isImmediate { streams.removeAll(where: \.isOver) }
        streams.append(stream)
        stream.onOver = { [weak self] in self?.streamEndHandler?() }
    }

    package func setStreamHandler(_ handler: @escaping @NetworkActor (any ByteStream) -> Void) {
        streamHandler = handler
        let streams = waiting
        waiting = []
        for stream in streams { handler(stream) }
    }

    package func setStreamEndHandler(_ handler: @escaping @NetworkActor () -> Void) { streamEndHandler = handler }

    package func setCloseHandler(_ handler: @escaping @NetworkActor (SessionEnd) -> Void) {
        if let end { return handler(end) }
        closeHandler = handler
    }

    /// The path of a connection in memory never changes.
    package func setPathHandler(_ handler: @escaping @NetworkActor (ConnectionPath) -> Void) {}

    func greet(_ initiator: LightConnection, with greeting: Greeting) {
        hasGreeted = true
        initiator.greeting = greeting.make(export(greeting.exporterLabel, greeting.exporterLength))
    }

    package func takeGreeting() -> [UInt8]? {
        defer { greeting = nil }
        return greeting
    }

    package func exportKeyingMaterial(label: String, count: Int) throws -> [UInt8] { export(label, count) }

    private func export(_ label: String, _ count: Int) -> [UInt8] {
        hkdfSHA256(key: exporterSecret, salt: [], info: Array(label.utf8), count: count)
    }

    package func close(code: UInt64, reason: String) {
        tell { $0.finish(SessionEnd(.closedByPeer(CloseCode(rawValue: code)), reason: reason)) }
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
        onEnd?(end)
        onEnd = nil
        closeHandler?(end)
        closeHandler = nil
        streamHandler = nil
        streamEndHandler = nil
    }
}
