package import DeP2PIdentity
package import DeP2PQUIC
package import DeP2PReactor
package import DeP2PRealm
package import DeP2PSessions

/// A raw stream that an application opened, with its peer.
package struct AppStream: Sendable {
    /// Proven by the connection.
    package let peer: NodeID
    package let name: String
    /// What carries it.
    package let session: Session
    package let stream: any ByteStream

    init(_ name: String, _ stream: any ByteStream, on session: Session) {
        peer = session.remoteNodeID
        (self.name, self.session, self.stream) = (name, session, stream)
    }
}

/// `/dep2p/app/streams/NAME/1.0.0`: raw bidirectional streams for applications, without any deadline of their own. How many
/// of those that others open are served at once, ``AppStreamQuota`` says.
@NetworkActor
package final class AppStreams {
    /// The longest name, in bytes.
    package nonisolated static let nameLimit = 128

    private let registry: ProtocolRegistry
    private let realm: Realm
    private var quota = AppStreamQuota()

    package init(connections: Connections, realm: Realm) {
        registry = connections.registry
        self.realm = realm
    }

    /// The protocol that streams called `name` speak.
    ///
    /// - Throws: ``MessagingError`` `invalidName` for anything but 1 to 128 letters, digits, `.`, `_` and `-`.
    package nonisolated static func protocolID(_ name: String) throws(MessagingError) -> String {
        let isValid = name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                true
            default: false
            }
        }
        guard isValid, (1...nameLimit).contains(name.utf8.count) else {
            throw MessagingError(
                .invalidName, detail: "use 1 to \(nameLimit) letters, digits, dots, underscores and hyphens")
        }
        return "/dep2p/app/streams/\(name)/1.0.0"
    }

    /// Serves streams called `name`. A stream lives until `handler` returns.
    ///
    /// - Throws: ``MessagingError`` `invalidName`; `LimitExceeded`.
    package func register(
        _ name: String, handler: @escaping @NetworkActor @Sendable (AppStream) async throws -> Void
    ) throws {
        let id = try Self.protocolID(name)
        let isTaken = registry.register(id, deadline: .unlimited(because: "the application's own, and counted")) {
            [weak self] session, stream in
            try await self?.serve(AppStream(name, stream, on: session), with: handler)
        }
        guard isTaken else {
            let limit = ProtocolRegistry.protocolLimit
            throw LimitExceeded(name: "protocols", value: limit, limit: limit)
        }
    }

    private func serve(
        _ stream: AppStream, with handler: @NetworkActor @Sendable (AppStream) async throws -> Void
    ) async throws {
        let account = AppStreamQuota.Account(session: stream.session.id, subject: stream.session.subject)
        // Its opener learns that this node is busy, and no more of who else is served.
        do throws(LimitExceeded) { try quota.begin(account) } catch { throw SessionError(.busy) }
        defer { quota.end(account) }
        try await handler(stream)
    }

    /// Whether none is served.
    var isIdle: Bool { quota.isEmpty }

    package func unregister(_ name: String) {
        // What can be no name was never registered.
        if let id = try? Self.protocolID(name) { registry.unregister(id) }
    }

    /// Opens a stream called `name` to the session's peer.
    ///
    /// - Throws: ``MessagingError`` `invalidName` or `notMember`; ``SessionError``.
    package func open(_ name: String, on session: Session) async throws -> AppStream {
        let id = try Self.protocolID(name)
        guard realm.id != nil else { throw MessagingError(.notMember, detail: "join a realm first") }
        return AppStream(name, try await session.openStream(id), on: session)
    }
}
