public import DeP2PIdentity
internal import DeP2PReactor
public import DeP2PSessions

extension Node {
    /// What an application's own reason to protect a node is called.
    private static let protection = Protection.tag("application")

    /// Connects to a node: gives the connection that is open, else a new one over the target's addresses, those that are
    /// known, and what is found meanwhile. Calls for one node share a dial; each adds its addresses.
    ///
    /// No realm is needed: ``NodeConnection/proveMembership()`` comes when something does.
    /// - Parameter timeout: for this call; `nil` takes the preset's.
    /// - Throws: ``DeP2PError`` with every attempt.
    public func connect(to target: DialTarget, timeout: Duration? = nil) async throws(DeP2PError) -> NodeConnection {
        let session = try await session(to: target, timeout: timeout)
        session.isAskedFor = true
        return NodeConnection(session, of: self)
    }

    /// The connections that are open, whoever dialled; two nodes may have more than one for a moment.
    public var openConnections: [NodeConnection] { connections.sessions.map { NodeConnection($0, of: self) } }

    /// The connection that is used with `nodeID`; `nil` where none is open.
    public func connection(with nodeID: NodeID) -> NodeConnection? {
        connections.session(with: nodeID).map { NodeConnection($0, of: self) }
    }

    /// Keeps the connections with `nodeID` when the node has too many, and takes new ones of it where it takes no strangers.
    /// It dials nobody.
    ///
    /// - Throws: ``DeP2PError`` `limit` when as many nodes are protected as may be.
    public func protect(_ nodeID: NodeID) throws(DeP2PError) {
        guard connections.protect(nodeID, for: Self.protection) else {
            throw DeP2PError(.limit, "the limit of \(Connections.protectedLimit) protected nodes is reached")
        }
    }

    /// Takes back ``protect(_:)``.
    public func unprotect(_ nodeID: NodeID) { connections.unprotect(nodeID, for: Self.protection) }
}

extension DeP2PError {
    static var inNoRealm: DeP2PError { DeP2PError(.notMember, "this node is in no realm", remedy: .joinRealm) }
}
