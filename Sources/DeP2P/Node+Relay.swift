package import DeP2PIdentity
public import DeP2PReach
internal import DeP2PReactor
internal import DeP2PSessions

extension Node {
    /// The relays that a node is reached through, as its signed record says: their addresses, with their NodeIDs.
    package func relays(of nodeID: NodeID) -> [Address] { connections.relays(of: nodeID) }

    /// What this node carries as a relay for others (``NodeConfiguration/relay``); `nil` where it is none.
    public var relayStatistics: RelayStatistics? { relayService?.statistics }

    /// Whether this node relays for the members of its realm now (``NodeConfiguration/relaysForRealm``).
    public var isRealmRelay: Bool { realmRelayPart?.isServing ?? false }

    /// What the relay grants from now on; reservations and circuits that stand keep their terms. Nothing, where the node is
    /// no relay.
    public func changeRelayLimits(to limits: RelayLimits) { relayService?.limits = limits }

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
