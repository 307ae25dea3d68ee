internal import DeP2PIdentity
internal import DeP2PReactor

/// What goes over a connection, counted.
///
/// Datagrams are counted as they come and go, by the path that each one takes. Streams know themselves what they have
/// carried; that is added up (``settle(_:)``) when one ends, when the connection takes a path of another kind, and when
/// somebody asks: so their bytes cost nothing until then, and count for the kind of path that the connection had.
extension Connection {
    /// The path of the datagram that was counted last, and where it is counted.
    struct CountedPath {
        let local: SocketAddress
        let remote: SocketAddress
        let slot: Int
        /// What a relay's frame adds to each datagram.
        let header: Int

        /// Field by field: once for each packet.
        func joins(_ local: SocketAddress, _ remote: SocketAddress) -> Bool {
            self.remote.port == remote.port && self.remote.ip.low == remote.ip.low && self.local.ip.low == local.ip.low
                && self.local.port == local.port && self.remote.ip.high == remote.ip.high
                && self.local.ip.high == local.ip.high && self.remote.ip.family == remote.ip.family
        }
    }

    func countReceived(_ count: Int, local: SocketAddress, remote: SocketAddress) {
        let path = countedPath(from: local, to: remote)
        traffic.received(count &+ path.header, slot: path.slot)
    }

    /// - Parameter segment: the size of each of the datagrams, but for the last.
    func countSent(_ count: Int, segment: Int, local: SocketAddress, remote: SocketAddress) {
        let path = countedPath(from: local, to: remote)
        let datagrams = path.header == 0 || segment <= 0 ? 0 : (count + segment - 1) / segment
        traffic.sent(count &+ path.header &* datagrams, slot: path.slot)
    }

    private func countedPath(from local: SocketAddress, to remote: SocketAddress) -> CountedPath {
        if let last = lastCounted, last.joins(local, remote) { return last }
        let path = makeCountedPath(from: local, to: remote)
        lastCounted = path
        return path
    }

    private func makeCountedPath(from local: SocketAddress, to remote: SocketAddress) -> CountedPath {
        let way = PathClass(kind(from: local, to: remote))
        let lane = ConnectionTraffic.Lane(way, family(from: local, to: remote))
        return CountedPath(
            local: local, remote: remote, slot: lane.slot, header: way == .relay ? RelayFrame.headerSize : 0)
    }

    /// The kind of the present path and the family of its addresses.
    package var lane: ConnectionTraffic.Lane {
        let path = path
        guard let local = path.local, let remote = path.remote else { return ConnectionTraffic.Lane(settledPath, .v4) }
        return ConnectionTraffic.Lane(PathClass(path.kind), family(from: local, to: remote))
    }

    /// Of the addresses that datagrams really travel between: those of a leg are fake.
    private func family(from local: SocketAddress, to remote: SocketAddress) -> IPAddress.Family {
        switch endpoint.leg(at: local.ip) {
        case let leg as TCPLeg: leg.peer.ip.family
        case let leg as RelayLeg:
            leg.connection.currentAddresses.map { leg.connection.family(from: $0.local, to: $0.remote) } ?? .v4
        default: remote.ip.family
        }
    }

    // MARK: What streams carry

    /// Adds what the stream has carried since the last time.
    func settle(_ stream: QUICStream) {
        let bytes = stream.takeUnsettled()
        // The greeting is a part of the handshake, and no protocol's; its reader counts it as little.
        guard bytes != .zero, !stream.isOfOneDirection else { return }
        traffic.carried(bytes, over: settledPath)
        (stream.tally ?? namelessTally)?.add(bytes, over: settledPath)
    }

    /// Adds what all streams have carried by now. One that has not agreed on a protocol yet waits until it has, or ends.
    package func settleStreams() {
        for stream in streams.values where stream.tally != nil { settle(stream) }
    }

    /// The connection is on a path of that kind from now on.
    func settle(beforeTaking kind: ConnectionPath.Kind) {
        let path = PathClass(kind)
        guard path != settledPath else { return }
        settleStreams()
        if settledPath == .relay, relayedBeforeStraight == nil { relayedBeforeStraight = traffic[.relay].wire }
        settledPath = path
    }
}
