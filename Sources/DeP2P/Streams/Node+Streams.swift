internal import DeP2PApp
internal import DeP2PReactor
public import DeP2PSessions

extension Node {
    /// Opens a stream called `name` to a member.
    ///
    /// It costs no round trip beyond the connection's: whether the other side takes streams of this name shows at the first
    /// read.
    /// - Parameters:
    ///   - name: the application's name for what the stream speaks: 1 to 128 letters, digits, `.`, `_` and `-`.
    ///   - timeout: for the connect; `nil` takes the preset's.
    /// - Throws: ``DeP2PError``: as ``connect(to:timeout:)``; `invalidName`; `notMember` when this node is in no realm,
    ///   `realmRefused` when the other is not in this one; `timeout` when it grants no stream within ten seconds.
    public func openStream(
        _ name: String, to target: DialTarget, timeout: Duration? = nil
    ) async throws(DeP2PError) -> NodeStream {
        try Self.checkStreamName(name)
        guard realmID != nil else { throw .inNoRealm }
        return try await connect(to: target, timeout: timeout).openStream(name)
    }

    /// Accepts the streams called `name` that members open, of those whom the node's ``access`` lets in.
    ///
    /// - Parameter name: as for ``openStream(_:to:timeout:)``.
    /// - Throws: ``DeP2PError``: `invalidName`, also for a name that is accepted already; `limit`.
    public func acceptStreams(_ name: String) throws(DeP2PError) -> IncomingStreams {
        do { return try acceptors.accept(name) } catch { throw DeP2PError(error) }
    }

    nonisolated static func checkStreamName(_ name: String) throws(DeP2PError) {
        do throws(MessagingError) { _ = try AppStreams.protocolID(name) } catch { throw DeP2PError(error) }
    }
}
