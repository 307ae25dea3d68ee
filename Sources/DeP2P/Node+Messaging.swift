public import DeP2PApp
internal import DeP2PQUIC
public import DeP2PSessions

extension Node {
    /// The protocol of messages that name none.
    public nonisolated static let defaultProtocol = "message"

    /// Sends `body` to a member and waits until its handler has taken it.
    ///
    /// - Parameters:
    ///   - name: the application's name for what the body means.
    ///   - timeout: for the connect and for the reply, each; `nil` takes the preset's.
    /// - Returns: the reply; `nil` for a plain receipt.
    /// - Throws: ``DeP2PError``.
    @discardableResult
    public func send(
        _ body: [UInt8], to target: DialTarget, protocol name: String = Node.defaultProtocol, timeout: Duration? = nil
    ) async throws(DeP2PError) -> [UInt8]? {
        let session = try await connectMember(target, timeout: timeout)
        return try await send(body, on: session, protocol: name, timeout: timeout)
    }

    /// Sends a text; as ``send(_:to:protocol:timeout:)-([UInt8],_,_,_)``.
    @discardableResult
    public func send(
        _ text: String, to target: DialTarget, protocol name: String = Node.defaultProtocol, timeout: Duration? = nil
    ) async throws(DeP2PError) -> [UInt8]? {
        try await send(Array(text.utf8), to: target, protocol: name, timeout: timeout)
    }

    /// Sends on an admitted session that is open.
    ///
    /// - Throws: ``DeP2PError``.
    package func send(
        _ body: [UInt8], on session: Session, protocol name: String = Node.defaultProtocol, timeout: Duration? = nil
    ) async throws(DeP2PError) -> [UInt8]? {
        do {
            return try await messaging.request(body, protocol: name, on: session, timeout: timeout)
        } catch {
            throw DeP2PError(session.refusal ?? error)
        }
    }

    /// Handles messages of the protocol `name`; what `handler` returns is the reply, `nil` a plain receipt.
    ///
    /// The handler starts on the network thread, so that a message costs no thread switch: what computes or blocks for
    /// long belongs elsewhere, on an actor of the application's own or in `offload`.
    /// - Throws: ``DeP2PError`` `invalidName` or `limit`.
    public func onMessage(
        _ name: String = Node.defaultProtocol, handler: @escaping @Sendable (IncomingMessage) async throws -> [UInt8]?
    ) throws(DeP2PError) {
        do {
            try messaging.register(name, handler: admitted(handler))
        } catch {
            throw DeP2PError(error)
        }
    }

    /// Handles messages of every protocol that has no handler of its own.
    public func onAnyMessage(handler: @escaping @Sendable (IncomingMessage) async throws -> [UInt8]?) {
        messaging.registerFallback(admitted(handler))
    }

    /// Messages of those alone whom the node's ``access`` lets in.
    private func admitted(
        _ handler: @escaping @Sendable (IncomingMessage) async throws -> [UInt8]?
    ) -> MessageHandler {
        { [weak self] message in
            guard self?.access.admits(message.from) ?? false else { throw MessageRefusal(AccessPolicy.refusal) }
            return try await handler(message)
        }
    }
}
