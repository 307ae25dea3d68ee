import DeP2P

extension Node {
    /// Waits for a connection that the other node has made: who was dialled has it half a round trip after who dialled.
    func waitUntilConnected(with other: Node) async throws {
        while connection(with: other.nodeID) == nil { try await Task.sleep(for: .milliseconds(5)) }
    }
}
