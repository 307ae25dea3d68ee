package import DeP2PIdentity
public import DeP2PReach
internal import DeP2PReactor
internal import DeP2PSessions

extension Node {
    /// The relays that a node is reached through, as its signed record says: their addresses, with their NodeIDs.
    package func relays(of nodeID: NodeID) -> [Address] { connections.relays(of: nodeID) }

    /// The reservations with relays that stand, best first.
    public var relayReservations: [RelayReservation] { relays.standing }

    /// Waits until a reservation stands.
    ///
    /// - Returns: whether one does; false after `timeout`, and at once when no relay is configured.
    public func waitForRelay(timeout: Duration) async -> Bool {
        let deadline = clock.now.advanced(by: timeout)
        while relays.isTrying, relays.standing.isEmpty, clock.now < deadline {
            do { try await relays.changes.wait(until: deadline) } catch { return false }
        }
        return !relays.standing.isEmpty
    }
}
