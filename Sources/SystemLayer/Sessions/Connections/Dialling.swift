package import DeP2PIdentity
package import DeP2PReactor

/// Finds a way to a node and makes the connection: sessions know nothing of names, races and relays.
@NetworkActor
package protocol Dialling: AnyObject, Sendable {
    /// Begins a dial, with no address yet.
    ///
    /// - Parameter nodeID: who must answer; `nil` takes whoever does.
    func dial(_ nodeID: NodeID?) -> any Dial
}

/// One dial, which takes addresses as long as it runs.
///
/// Calling order: ``add(_:for:)`` and ``value()`` in any order; ``noMoreCandidates()`` when everybody who may add some is
/// done, and ``moreCandidates()`` when somebody new comes. Cancelling the task that waits for ``value()`` ends it.
@NetworkActor
package protocol Dial: AnyObject, Sendable {
    /// Adds addresses to those that are tried.
    ///
    /// - Parameter asker: who names them, in whose room they count, so that nobody's displace another's: from 1 on who asks
    ///   for the node, 0 for what is known of it, below that each of the sources.
    /// - Returns: false when the dial is over.
    @discardableResult
    func add(_ addresses: [Address], for asker: Int) -> Bool

    /// With nothing left to try, the dial has failed.
    func noMoreCandidates()

    /// Somebody may add more: the opposite of ``noMoreCandidates()``.
    func moreCandidates()

    /// The outcome; called once.
    ///
    /// - Throws: ``ConnectError`` with every attempt.
    func value() async throws -> (connection: any SecureConnection, attempts: [ConnectAttempt])

    /// What the dial has come to for someone who gives up on it now, while it goes on for others.
    func error(givenUp failure: TransportFailure) -> ConnectError
}
