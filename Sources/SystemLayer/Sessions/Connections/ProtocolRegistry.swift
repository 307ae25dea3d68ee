package import DeP2PReactor
internal import DeP2PWire

/// Who may open a protocol's streams.
package enum Gate: Hashable, Sendable {
    /// Any authenticated node.
    case open
    /// Nodes whose connection was admitted to the realm.
    case members
}

/// How long one inbound stream of a protocol may take, from its agreement on: said of every protocol, so that none is
/// served for ever by oversight.
package enum StreamDeadline: Sendable {
    /// The stream is reset after that time.
    case within(Duration)
    /// There is none: what bounds each wait instead.
    case unlimited(because: StaticString)
}

/// Serves one inbound stream. When it returns, the stream is finished; when it throws, the stream is reset.
package typealias StreamHandler = @NetworkActor @Sendable (Session, NegotiatedStream) async throws -> Void

/// The protocols that a node serves, by their multistream names.
@NetworkActor
package final class ProtocolRegistry {
    /// The most protocols registered at once.
    package nonisolated static let protocolLimit = 1024
    /// The names under which only members are served, whatever is registered below them.
    nonisolated static let memberPrefixes = ["/dep2p/app/", "/dep2p/realm/"]
    /// The one realm protocol that those who are not members yet speak.
    package nonisolated static let admissionID = "/dep2p/realm/admission/1.0.0"

    private var handlers: [String: Registration] = [:]
    /// Asked for last: a request a stream makes the same first flight over and over, which needs no parsing.
    private(set) var recent: Registration?

    package init() {}

    /// Serves `protocolID` with `handler`, instead of what was registered before.
    ///
    /// - Parameter deadline: what keeps a peer from holding the stream, and what is kept for it, for ever.
    /// - Returns: false when ``protocolLimit`` is reached.
    @discardableResult
    package func register(
        _ protocolID: String, deadline: StreamDeadline, handler: @escaping StreamHandler
    ) -> Bool {
        guard handlers[protocolID] != nil || handlers.count < Self.protocolLimit else { return false }
        handlers[protocolID] = Registration(protocolID, deadline, handler)
        recent = nil
        return true
    }

    package func unregister(_ protocolID: String) {
        handlers[protocolID] = nil
        recent = nil
    }

    func registration(for protocolID: String) -> Registration? {
        guard let registration = handlers[protocolID] else { return nil }
        recent = registration
        return registration
    }

    /// The gate follows from the name alone, so that a stranger cannot learn what is registered behind it.
    package nonisolated static func gate(of protocolID: String) -> Gate {
        guard protocolID != admissionID else { return .open }
        return memberPrefixes.contains { protocolID.utf8.starts(with: $0.utf8) } ? .members : .open
    }

    /// The names registered that a peer behind `gate` is told of, sorted: a stranger of no realm protocol, not even of
    /// admission.
    package func names(for gate: Gate) -> [String] {
        handlers.keys.filter { name in
            gate == .members || !Self.memberPrefixes.contains { name.hasPrefix($0) }
        }.sorted()
    }
}
