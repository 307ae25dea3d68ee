internal import DeP2PApp
public import DeP2PIdentity
public import DeP2PQUIC
internal import DeP2PReactor
package import DeP2PSessions

/// A connection with another node, which has proven that it is the one its NodeID says.
///
/// ```swift
/// let connection = try await node.connect(to: target)
/// print(connection.nodeID, await connection.path, try await connection.ping())
/// ```
///
/// It is the node's: whatever goes on between the two nodes shares it, and letting go of this value closes nothing. It may
/// move to another path meanwhile, as ``Node/events(of:capacity:)`` tell under its ``id``. It ends when either side closes
/// it or is gone, and when the node has too many and this is of least use; ``Node/protect(_:)`` keeps it from the latter.
public struct NodeConnection: Identifiable, Sendable {
    package let session: Session
    let node: Node

    /// Tells it from every other connection of this node: ``NodeEvent/SessionSubject/id``.
    public var id: UInt64 { session.id }
    /// Who the other side has proven to be.
    public var nodeID: NodeID { session.remoteNodeID }
    /// Whether this node dialled.
    public var isOutgoing: Bool { session.isInitiator }

    init(_ session: Session, of node: Node) {
        (self.session, self.node) = (session, node)
    }
}

@NetworkActor
extension NodeConnection {
    /// How its datagrams travel now.
    public var path: ConnectionPath { session.path }

    /// Whether both sides have proven the realm key to each other on this connection.
    public var isMember: Bool { session.isAdmitted }

    /// How it ended; `nil` while it is open.
    public var end: SessionEnd? { session.end }

    /// Every address that was tried for it, in order; empty when the other node dialled.
    public var attempts: [ConnectAttempt] { session.attempts }

    /// What it has carried so far, and how fast it answers.
    public var statistics: Statistics { Statistics(session) }

    /// Proves the realm key to the other side, and has it prove it too; at once when that has been done.
    ///
    /// - Throws: ``DeP2PError``: `notMember` when this node is in no realm, `realmRefused` when the other is not in this one.
    public func proveMembership() async throws(DeP2PError) {
        guard node.realmID != nil else { throw .inNoRealm }
        do { try await node.realm.admit(session) } catch { throw DeP2PError(error) }
    }

    /// Opens a stream called `name` to the other side, which has to be a member: ``proveMembership()`` comes first.
    ///
    /// - Throws: ``DeP2PError``, as ``Node/openStream(_:to:timeout:)``.
    public func openStream(_ name: String) async throws(DeP2PError) -> NodeStream {
        try Node.checkStreamName(name)
        try await proveMembership()
        do { return NodeStream(try await node.streams.open(name, on: session)) } catch { throw DeP2PError(error) }
    }

    /// What the other node calls itself; `nil` when it does not say. Remote text: escape it before it meets a terminal.
    ///
    /// - Throws: ``DeP2PError``; `unsupported` when it does not know the question.
    public func agent() async throws(DeP2PError) -> String? {
        try await node.identify(session).agentVersion
    }

    /// Waits until it has ended.
    ///
    /// - Returns: how.
    /// - Throws: ``DeP2PError`` `cancelled`, in a task that is cancelled.
    public func waitUntilClosed() async throws(DeP2PError) -> SessionEnd {
        do { return try await session.waitClosed() } catch { throw DeP2PError(error) }
    }

    /// Closes it, with everything that goes on over it, whoever began that; nothing, when it has ended.
    public func close() { session.close(.normal) }

    /// What a connection has carried, and how fast it answers.
    public struct Statistics: Hashable, Sendable {
        /// Bytes of datagrams, over the connection's whole life: headers, repetitions and signs of life included.
        public let bytesSent: UInt64
        public let bytesReceived: UInt64
        /// What it has carried over direct, punched and relayed paths.
        public let traffic: [PathClass: Traffic]
        /// What went through relays before the path first was a straight one: ``Traffic/wire``. `nil` while it has not left
        /// a relay, and when it never used one.
        public let relayedBeforeStraight: ByteTotals?
        /// The smoothed and the shortest round trip on the present path; `nil` once the connection has ended.
        public let roundTrip: Duration?
        public let shortestRoundTrip: Duration?
        /// Streams of either side that have not ended in both directions.
        public let openStreams: Int

        @NetworkActor
        init(_ session: Session) {
            let statistics = session.connection.statistics
            session.connection.settleStreams()
            let traffic = session.connection.traffic
            self.traffic = Dictionary(uniqueKeysWithValues: PathClass.allCases.map { ($0, traffic[$0]) })
            relayedBeforeStraight = session.connection.relayedBeforeStraight
            bytesSent = statistics.bytesSent
            bytesReceived = statistics.bytesReceived
            roundTrip = session.isOpen ? statistics.smoothedRTT : nil
            shortestRoundTrip = session.isOpen ? statistics.minRTT : nil
            openStreams = session.isOpen ? statistics.openStreams : 0
        }
    }
}
