package import DeP2PReactor

/// Finds a way to a node and makes the connection: sessions know nothing of names, races and relays.
@NetworkActor
package protocol Dialling: AnyObject, Sendable {
    /// - Parameter deadline: for all that it takes.
    /// - Throws: ``ConnectError`` with every attempt.
    func dial(
        _ target: DialTarget, deadline: Duration
    ) async throws -> (connection: any SecureConnection, attempts: [ConnectAttempt])
}
