package import DeP2PIdentity
package import DeP2PReach
internal import DeP2PReactor
internal import DeP2PSessions

extension Node {
    /// The relays that a node is reached through, as its signed record says: their addresses, with their NodeIDs.
    package func relays(of nodeID: NodeID) -> [Address] { connections.relays(of: nodeID) }

    /// The target with every way to it that is known and allowed: its addresses, what was learned, and this node's
    /// own relays last.
    func ways(to target: DialTarget, known: [Address]) -> DialTarget {
        let more = known.filter { !target.addresses.contains($0) }
        var addresses = (target.addresses + more).filter { usesDirect || $0.isRelayed }
        if let nodeID = target.nodeID {
            for relay in ownRelays where relay.nodeID != nodeID {
                // What is no address through a relay is no way.
                let circuit = try? Address(components: relay.components + [.p2pCircuit, .p2p(nodeID)])
                if let circuit, !addresses.contains(circuit) { addresses.append(circuit) }
            }
        }
        return DialTarget(nodeID: target.nodeID, addresses: addresses)
    }

    /// The reservations with relays that stand, best first.
    package var relayReservations: [RelayClient.Standing] { relays.standing }

    /// Takes circuits that relays bring only from nodes that `accepts` admits.
    package func acceptCircuits(from accepts: @escaping @NetworkActor (NodeID) -> Bool) { relays.accepts = accepts }

    /// Waits until a reservation stands.
    ///
    /// - Returns: whether one does; false after `timeout`, and at once when no relay is configured.
    package func waitForRelay(timeout: Duration) async -> Bool {
        let deadline = clock.now.advanced(by: timeout)
        while relays.isTrying, relays.standing.isEmpty, clock.now < deadline {
            do { try await clock.sleep(for: .milliseconds(5)) } catch { return false }
        }
        return !relays.standing.isEmpty
    }
}
