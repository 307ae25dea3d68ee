internal import CDeP2PQUICShim
internal import DeP2PIdentity
internal import DeP2PReactor

/// What ngtcp2 is told of a connection before it begins.
extension Endpoint {
    /// A client grants the one stream of ``Greeting``; no protocol uses another of one direction.
    func quicSettings(
        for connection: Connection, remote: SocketAddress, local: SocketAddress, now: NetworkInstant
    ) -> dep2p_quic_settings {
        let leg = legs[local.ip]
        let known = knownDatagramSize(from: local, to: remote)
        let largest =
            beginsOverTCP(local)
            ? WideDatagrams.whole : configuration.maxDatagramSize - (leg == nil ? 0 : RelayFrame.headerSize)
        return dep2p_quic_settings(
            initial_ts: now.nanoseconds,
            initial_rtt: initialRTT(from: leg as? RelayLeg, to: remote, now: now).clampedNanoseconds,
            handshake_timeout: configuration.handshakeTimeout.clampedNanoseconds,
            max_idle_timeout: configuration.transportIdleTimeout.clampedNanoseconds,
            initial_max_data: connection.allowance.window, initial_max_stream_data: configuration.streamWindow,
            max_stream_window: configuration.maxStreamWindow,
            max_streams_bidi: UInt64(connection.allowance.streams),
            max_streams_uni: connection.role == .client ? 1 : 0,
            max_stream_data_uni: connection.role == .client ? UInt64(Greeting.length) : 0,
            random_seed: random.isReplayed ? random.next() | 1 : 0, datagram_size: known ?? largest,
            fixed_datagram_size: known == nil ? 0 : 1,
            use_bbr: configuration.congestionControl == .bbr && known == nil ? 1 : 0,
            gnutls_keys: configuration.packetKeys == .gnuTLS ? 1 : 0, grease: 0)
    }

    /// What a handshake takes for the round trip, a third of the time until it is sent again: on a circuit that is known,
    /// and a repetition in vain would be as long as all that many connections say there.
    private func initialRTT(from leg: RelayLeg?, to remote: SocketAddress, now: NetworkInstant) -> Duration {
        let known = leg?.roundTrip(to: remote, now: now) ?? .zero
        return max(configuration.initialRTT, min(known, EndpointConfiguration.longestInitialRTT))
    }
}
