package import DeP2PIdentity

/// What an endpoint allows and how it paces itself. Every limit that a peer can push against is here.
package struct EndpointConfiguration: Sendable {
    package enum CongestionControl: Sendable { case cubic, bbr }
    package enum PacketKeys: Sendable { case fastest, gnuTLS }

    /// Connections held at once, server's handshakes not counted; further Initials are refused with
    /// CONNECTION_REFUSED.
    package var maxConnections = 1_024
    /// Handshakes under way; beyond it the oldest of the subject with the most gives way.
    package var maxHandshakes = 512
    /// Handshakes under way of one ``Subject``; beyond it its oldest gives way.
    package var maxHandshakesPerSubject = 64
    /// Handshakes under way of sources without a proof of their address, beyond which a source has to prove it first
    /// (Retry, RFC 9000 8.1.2): in all, and of one ``Subject``.
    package var retryThreshold = 128
    package var retryThresholdPerSubject = 16
    /// Streams that a peer may have open at once on a connection.
    package var maxStreams = 256
    /// What a stream may have under way unread at first, and at most after auto-tuning.
    package var streamWindow: UInt64 = 1 * 1024 * 1024
    package var maxStreamWindow: UInt64 = 16 * 1024 * 1024
    /// What a connection may have under way unread at first, and at most after auto-tuning.
    package var connectionWindow: UInt64 = 2 * 1024 * 1024
    package var maxConnectionWindow: UInt64 = 16 * 1024 * 1024
    /// What one connection's streams may hold in memory until the peer has acknowledged it, bytes; see
    /// ``ConnectionAllowance/sendMemory``.
    package var maxSendMemory = ConnectionAllowance.defaultSendMemory
    /// The application's close code for a peer that holds more of this side's memory than it may.
    package var limitCloseCode: UInt64 = 0
    /// What connections that the peer has made begin with, until ``Connection/promote(to:)``; `nil` for all of
    /// ``allowance``, with which those that this side makes begin.
    package var inboundAllowance: ConnectionAllowance?
    package var keepAlive: Duration = .seconds(3)
    /// How long nothing may come from a peer with which no work is under way; see ``transportIdleTimeout``.
    package var idleTimeout: Duration = .seconds(9)
    package var handshakeTimeout: Duration = .seconds(10)
    /// The guess before the first sample. Low, since a path change starts from it again: the old path's validation
    /// lasts three times the timeout that follows from it, and a lost Initial is repeated after as long.
    package var initialRTT: Duration = .milliseconds(30)
    /// The most of it where a longer one is known: nine times that, as a server validates the path that it has left, is
    /// less than passes between two migrations.
    static let longestInitialRTT = Duration.milliseconds(110)
    /// BBR keeps its rate where packets are lost at random, as on radio links: at 10 % loss and 40 ms a file takes
    /// seconds instead of minutes. Between addresses of one machine it is CUBIC always, which paces less.
    package var congestionControl = CongestionControl.bbr
    /// Who protects packets: libipsec-mb where the processor has what that needs, or GnuTLS, as everywhere else.
    package var packetKeys = PacketKeys.fastest
    /// The largest datagram that path MTU discovery tries.
    package var maxDatagramSize = 1_472
    /// What tells this machine from others that run the same identity; the same after a restart. See
    /// ``Endpoint/resetSecret(_:scope:addresses:)``.
    package var resetScope: [UInt8] = []
    /// Where connection IDs, secrets of this endpoint and what is random in packet layout come from. With one that replays
    /// the TLS key is drawn from it too; what GnuTLS draws by itself (the handshake's ephemeral keys and nonces) has fixed
    /// lengths, so that the run replays though these bytes do not.
    package var random = RandomSource.system
    /// Milliseconds since 1970, for the dates of certificates.
    package var wallClock: @Sendable () -> UInt64 = WallClock.milliseconds

    package init() {}

    /// The least that a peer is told of silence, and how long it is borne for a transfer's sake.
    static let patience = Duration.seconds(30)

    /// How long nothing may come while a stream bears silence (`ByteStream.bearsSilence()`): a transfer outlives what makes its
    /// peer count as gone. What the peer is told (max_idle_timeout).
    package var transportIdleTimeout: Duration { max(idleTimeout, Self.patience) }

    /// Bytes of memory that what has come of all connections may wait in, unread or incomplete; beyond it who has the most
    /// loses a connection (`Endpoint+Memory.swift`). Two connections may always fill theirs.
    var maxReceiveMemory: Int { max(64 * 1024 * 1024, maxConnections * 512 * 1024) }

    /// What one connection may fill at most.
    package var allowance: ConnectionAllowance {
        ConnectionAllowance(
            streams: maxStreams, window: connectionWindow, maxWindow: maxConnectionWindow, sendMemory: maxSendMemory)
    }
}
