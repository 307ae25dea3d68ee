package import DeP2PIdentity
package import DeP2PQUIC
package import DeP2PReactor

/// What dials and accepts authenticated connections: QUIC's endpoint, or a double in tests.
@NetworkActor
package protocol Transport: AnyObject, Sendable {
    /// - Parameter nodeID: who must answer; `nil` takes anyone.
    /// - Throws: ``TransportFailure``, or `CancellationError`.
    func connect(to address: SocketAddress, expecting nodeID: NodeID?) async throws -> any SecureConnection

    /// Dials over TCP: QUIC inside TLS, as relays offer it.
    ///
    /// - Throws: ``TransportFailure``, or `CancellationError`.
    func connect(tcp address: SocketAddress, expecting nodeID: NodeID?) async throws -> any SecureConnection

    func setConnectionHandler(_ handler: @escaping @NetworkActor (any SecureConnection) -> Void)

    /// Says `greeting` in the first flight to whoever dials this node and asks for it.
    func setGreeting(_ greeting: Greeting)

    /// The bound addresses; wildcards stay wildcards.
    var localAddresses: [SocketAddress] { get }

    /// What all connections have carried by now, those too whose handshake came to nothing.
    var traffic: ConnectionTraffic { get }
}

extension Transport {
    package var traffic: ConnectionTraffic { ConnectionTraffic() }
    package func setGreeting(_ greeting: Greeting) {}

    package func connect(tcp address: SocketAddress, expecting nodeID: NodeID?) async throws -> any SecureConnection {
        throw TransportFailure(.unsupported, detail: "TCP is not spoken here")
    }
}

/// Why one address did not lead to the node.
package struct TransportFailure: Error, Hashable, Sendable, CustomStringConvertible {
    package let outcome: ConnectAttempt.Outcome
    package let detail: String
    /// What would help, where that is known.
    package let remedy: Remedy?

    package init(_ outcome: ConnectAttempt.Outcome, detail: String, remedy: Remedy? = nil) {
        self.outcome = outcome
        self.detail = detail
        self.remedy = remedy
    }

    package var description: String { detail.isEmpty ? outcome.rawValue : "\(outcome.rawValue): \(detail)" }
}
