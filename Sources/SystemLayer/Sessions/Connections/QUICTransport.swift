public import DeP2PIdentity
public import DeP2PQUIC
public import DeP2PReactor

/// QUIC's endpoint as the floors above see it.
@NetworkActor
public final class QUICTransport: Transport {
    public let endpoint: Endpoint

    public init(_ endpoint: Endpoint) {
        self.endpoint = endpoint
    }

    public var localAddresses: [SocketAddress] { endpoint.localAddresses }

    public func connect(to address: SocketAddress, expecting nodeID: NodeID?) async throws -> any SecureConnection {
        do {
            return try await endpoint.connect(to: address, expecting: nodeID)
        } catch let error as QUICError {
            if error.code == .cancelled { throw CancellationError() }
            throw TransportFailure(error)
        }
    }

    public func connect(tcp address: SocketAddress, expecting nodeID: NodeID?) async throws -> any SecureConnection {
        do {
            return try await endpoint.connect(tcp: address, expecting: nodeID)
        } catch let error as QUICError {
            if error.code == .cancelled { throw CancellationError() }
            throw TransportFailure(error)
        }
    }

    public func setConnectionHandler(_ handler: @escaping @NetworkActor (any SecureConnection) -> Void) {
        endpoint.onConnection = { handler($0) }
    }
}

extension TransportFailure {
    package init(_ error: QUICError) { self.init(Self.outcome(of: error.code), detail: error.message) }

    private static func outcome(of code: QUICError.Code) -> ConnectAttempt.Outcome {
        switch code {
        case .wrongPeer: .wrongPeer
        case .timeout: .timeout
        case .refused: .refused
        case .unreachable: .unreachable
        case .closedByPeer: .closed
        case .cancelled: .superseded
        case .badCertificate, .versionMismatch, .limit, .endpointClosed, .internalError: .handshakeFailed
        }
    }
}

extension Connection: SecureConnection {
    public var isInitiator: Bool { role == .client }
    public var roundTripTime: Duration? { statistics.smoothedRTT }
    public var openStreamCount: Int { statistics.openStreams }

    public func openByteStream(within patience: Duration?) async throws -> any ByteStream {
        try await openStream(within: patience)
    }
    public func promote() { promote(to: nil) }
    public func grantStreams(_ count: Int) {
        promote(to: ConnectionAllowance(streams: count, window: 0, maxWindow: 0))
    }

    public func setStreamHandler(_ handler: @escaping @NetworkActor (any ByteStream) -> Void) {
        onStream = { handler($0) }
    }

    public func setPathHandler(_ handler: @escaping @NetworkActor (ConnectionPath) -> Void) {
        onPathChange = handler
    }

    public func setCloseHandler(_ handler: @escaping @NetworkActor (SessionEnd) -> Void) {
        if let closeReason { return handler(SessionEnd(closeReason)) }
        onClose.append { handler(SessionEnd($0)) }
    }
}

extension SessionEnd {
    /// QUIC's reason in the words of sessions.
    init(_ reason: CloseReason) {
        let code = CloseCode(rawValue: reason.code)
        switch reason.origin {
        case .local: self.init(.closedLocally(code), reason: reason.reason)
        case .peer where reason.isApplication: self.init(.closedByPeer(code), reason: reason.reason)
        case .idleTimeout, .handshakeTimeout: self.init(.timeout, reason: reason.reason)
        case .peer, .reset, .protocolViolation: self.init(.transport, reason: reason.description)
        }
    }
}
