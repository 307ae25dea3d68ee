package import DeP2PIdentity
package import DeP2PQUIC
package import DeP2PReactor

/// QUIC's endpoint as the floors above see it.
@NetworkActor
package final class QUICTransport: Transport {
    package let endpoint: Endpoint

    package init(_ endpoint: Endpoint) {
        self.endpoint = endpoint
    }

    package var localAddresses: [SocketAddress] { endpoint.localAddresses }
    package var traffic: ConnectionTraffic { endpoint.traffic }

    package func connect(to address: SocketAddress, expecting nodeID: NodeID?) async throws -> any SecureConnection {
        do {
            return try await endpoint.connect(to: address, expecting: nodeID)
        } catch let error as QUICError {
            if error.code == .cancelled { throw CancellationError() }
            throw TransportFailure(error)
        }
    }

    package func connect(tcp address: SocketAddress, expecting nodeID: NodeID?) async throws -> any SecureConnection {
        do {
            return try await endpoint.connect(tcp: address, expecting: nodeID)
        } catch let error as QUICError {
            if error.code == .cancelled { throw CancellationError() }
            throw TransportFailure(error)
        }
    }

    package func setConnectionHandler(_ handler: @escaping @NetworkActor (any SecureConnection) -> Void) {
        endpoint.onConnection = { handler($0) }
    }

    package func setGreeting(_ greeting: Greeting) { endpoint.greeting = greeting }
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
    package var isInitiator: Bool { role == .client }
    package var roundTripTime: Duration? { statistics.smoothedRTT }
    package var openStreamCount: Int { statistics.openStreams }

    package func openByteStream(within patience: Duration?) async throws -> any ByteStream {
        try await openStream(within: patience)
    }
    package func openByteStreamAtOnce() throws -> (any ByteStream)? { try openStreamAtOnce() }
    package func promote() { promote(to: nil) }
    package func grantStreams(_ count: Int) {
        promote(to: ConnectionAllowance(streams: count, window: 0, maxWindow: 0))
    }

    package func setStreamHandler(_ handler: @escaping @NetworkActor (any ByteStream) -> Void) {
        onStream = { handler($0) }
    }

    package func setStreamEndHandler(_ handler: @escaping @NetworkActor () -> Void) { onStreamEnd = handler }

    package func setPathHandler(_ handler: @escaping @NetworkActor (ConnectionPath) -> Void) {
        onPathChange = handler
    }

    package func setMigrationHandler(_ handler: @escaping @NetworkActor (Bool) -> Void) { onMigrationEnd = handler }
    package var carrier: Connection? { self }

    package func setCloseHandler(_ handler: @escaping @NetworkActor (SessionEnd) -> Void) {
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
