internal import CDeP2PQUICShim
internal import DeP2PIdentity
package import DeP2PReactor

/// Datagrams that arrive: to their connection, to a new one, or answered without state.
extension Endpoint {
    /// A connection that ended: late packets of its peer are answered with the same close for a while.
    struct Lingering {
        let packet: [UInt8]
        let local: SocketAddress
        let remote: SocketAddress
        /// Whether the peer is there: who has not answered may be a third party.
        let isConfirmed: Bool
        var answersLeft: Int
    }

    /// How often a late packet is answered with the close, and how many closed connections are remembered.
    private static let closeAnswers = 3
    private static let maxLingering = 4_096
    /// The lifetime of a Retry token.
    private static let retryLifetime: UInt64 = 10_000_000_000
    static let connectionRefused: UInt64 = 0x02
    private static let invalidToken: UInt64 = 0x0b

    package func receive(
        _ bytes: UnsafeMutableRawBufferPointer, local: SocketAddress, remote: SocketAddress, ecn: UInt8
    ) {
        guard let first = bytes.first, remote.port != 0, !isClosed else { return }
        packetTime = clock.now
        if DatagramKind(firstByte: first) == .relayFrame, receiveFrame(bytes, remote: remote, ecn: ecn) { return }
        receivePacket(bytes, local: local, remote: remote, ecn: ecn, isFramed: false)
    }

    /// - Parameter isFramed: whether it came out of a relay's frame: then it is QUIC or nothing.
    func receivePacket(
        _ bytes: UnsafeMutableRawBufferPointer, local: SocketAddress, remote: SocketAddress, ecn: UInt8, isFramed: Bool
    ) {
        guard let first = bytes.first else { return }
        var dcid = dep2p_cid()
        var scid = dep2p_cid()
        var version: UInt32 = 0
        let data = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
        let kind = dep2p_packet_inspect(data, bytes.count, ConnectionID.ownLength, &dcid, &scid, &version)
        let id = ConnectionID(dcid)
        if let connection = connection(for: id) {
            let local = pathLocal(local, from: remote, of: connection)
            connection.receive(bytes, local: local, remote: remote, ecn: ecn)
        } else if lingering[id] != nil {
            answerLate(id)
        } else if isRetired(id) {
            return
        } else if DatagramKind(firstByte: first) != .quic {
            // Not QUIC unless its ID was known: those are 64 random bits, which STUN, frames and probes cannot meet.
            // What comes over TCP is the relay's QUIC and frames: for others there is no address to answer to.
            guard !isFramed, leg(at: local.ip) == nil else { return }
            datagrams.deliver(bytes, local: local, remote: remote, now: packetTime)
        } else {
            // A further socket may be closed at any time: connections don't begin there.
            guard Int(kind) == DEP2P_PACKET_SHORT || socket(at: local) == nil else { return }
            switch Int(kind) {
            case DEP2P_PACKET_LONG: acceptInitial(bytes, local: local, remote: remote, ecn: ecn)
            case DEP2P_PACKET_UNKNOWN_VERSION: negotiateVersion(dcid, scid, bytes.count, local, remote)
            case DEP2P_PACKET_SHORT:
                if let token = ResetToken(endOf: bytes), let connection = connection(resetBy: token) {
                    let local = pathLocal(local, from: remote, of: connection)
                    connection.receive(bytes, local: local, remote: remote, ecn: ecn)
                } else if socket(at: local) == nil {
                    // Nor are strangers told that there is one.
                    resetUnknown(dcid, bytes.count, local, remote)
                }
            default: break
            }
        }
    }

    // MARK: New connections

    private func acceptInitial(
        _ bytes: UnsafeMutableRawBufferPointer, local: SocketAddress, remote: SocketAddress, ecn: UInt8
    ) {
        var initial = dep2p_initial()
        let data = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
        let verdict = dep2p_initial_inspect(data, bytes.count, &initial)
        guard Int(verdict) != DEP2P_ACCEPT_NO, onConnection != nil else { return }
        var original: dep2p_cid?
        if initial.token_length > 0 {
            var found = dep2p_cid()
            var raw = remote.raw
            let verdict = dep2p_verify_retry(
                &initial, &raw, retrySecret, retrySecret.count, Self.retryLifetime, packetTime.nanoseconds, &found)
            switch Int(verdict) {
            case 0: original = found
            // RFC 9000 8.1.3: who presents a Retry token accepts no second Retry, so the dial ends here.
            case DEP2P_TOKEN_INVALID: return refuse(initial, Self.invalidToken, local, remote)
            default: break
            }
        }
        // What comes over a leg comes from where the leg leads: nobody else can write into it.
        let isProven = original != nil || leg(at: local.ip) != nil
        guard hasRoom else { return refuse(initial, Self.connectionRefused, local, remote) }
        let circuit = leg(at: local.ip) is RelayLeg ? remote.ip.low : nil
        let subject = subject(local: local, remote: remote)
        switch handshakes.admit(upcomingID, subject: subject, circuit: circuit, isProven: isProven) {
        case .proveAddress: return sendRetry(initial, local, remote)
        case .accept(let displaced): displaced.flatMap { connections[$0] }?.giveWay()
        }
        accept(initial, original: original, local: local, remote: remote)?
            .receive(bytes, local: local, remote: remote, ecn: ecn)
    }

    private func accept(
        _ initial: dep2p_initial, original: dep2p_cid?, local: SocketAddress, remote: SocketAddress
    ) -> Connection? {
        let connection = makeConnection(role: .server, expecting: nil)
        connection.kindOfPath[local] = kindOfPath(from: local)
        if let leg = tcpLeg(from: local), !leg.attach(connection) {
            forget(connection, established: false)
            connection.endHandshakeTimer()
            return nil
        }
        if original != nil || leg(at: local.ip) != nil { connection.provePath(local: local, remote: remote) }
        var scid = ConnectionID.random(from: random)
        let token = resetToken(for: scid)
        var settings = quicSettings(for: connection, remote: remote, local: local, now: packetTime)
        var callbacks = Connection.callbacks
        var localRaw = local.raw
        var remoteRaw = remote.raw
        var initial = initial
        let user = Unmanaged.passUnretained(connection).toOpaque()
        if var original {
            connection.quic = dep2p_quic_server(
                &callbacks, user, connection.credentials.pointer, &settings, &localRaw, &remoteRaw, &initial, &scid,
                &original, token)
        } else {
            connection.quic = dep2p_quic_server(
                &callbacks, user, connection.credentials.pointer, &settings, &localRaw, &remoteRaw, &initial, &scid,
                nil, token)
        }
        guard connection.quic != nil else {
            forget(connection, established: false)
            connection.endHandshakeTimer()
            return nil
        }
        // The client's packets carry its first choice of ID until it has heard from this side.
        for id in [ConnectionID(scid), ConnectionID(initial.dcid)] {
            connection.connectionIDs.insert(id)
            route(id, to: connection)
        }
        return connection
    }

    // MARK: Answers without state

    private func answer(
        _ local: SocketAddress, _ remote: SocketAddress, capacity: Int,
        _ write: (UnsafeMutablePointer<UInt8>?, Int) -> Int
    ) {
        withUnsafeTemporaryAllocation(byteCount: capacity, alignment: 8) { buffer in
            let length = write(buffer.baseAddress?.assumingMemoryBound(to: UInt8.self), capacity)
            guard length > 0 else { return }
            let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<length])
            send(PacketBurst(bytes: bytes, segment: length, local: local, remote: remote, ecn: 0))
        }
    }

    private func sendRetry(_ initial: dep2p_initial, _ local: SocketAddress, _ remote: SocketAddress) {
        var initial = initial
        var raw = remote.raw
        var scid = ConnectionID.random(from: random)
        answer(local, remote, capacity: 512) { buffer, capacity in
            dep2p_write_retry(
                buffer, capacity, &initial, &raw, &scid, retrySecret, retrySecret.count, packetTime.nanoseconds)
        }
    }

    private func refuse(
        _ initial: dep2p_initial, _ code: UInt64, _ local: SocketAddress, _ remote: SocketAddress
    ) {
        guard refusalBudget.takeNow(now: packetTime) else { return }
        var initial = initial
        answer(local, remote, capacity: 256) { buffer, capacity in
            dep2p_write_refusal(buffer, capacity, &initial, code)
        }
    }

    private func negotiateVersion(
        _ dcid: dep2p_cid, _ scid: dep2p_cid, _ received: Int, _ local: SocketAddress, _ remote: SocketAddress
    ) {
        // RFC 9000 6.1: only for datagrams large enough to be an Initial, so that nothing is amplified.
        guard received >= 1200, onConnection != nil, versionBudget.takeNow(now: packetTime) else { return }
        var dcid = dcid
        var scid = scid
        answer(local, remote, capacity: 128) { buffer, capacity in
            dep2p_write_version_negotiation(
                buffer, capacity, &dcid, &scid, UInt8(truncatingIfNeeded: random.next()))
        }
    }

    private func resetUnknown(_ dcid: dep2p_cid, _ received: Int, _ local: SocketAddress, _ remote: SocketAddress) {
        // RFC 9000 10.3.3: smaller than what triggered it, so that two endpoints cannot reset each other for ever. Down to
        // the smallest that counts as one: what a client sends whose relay has forgotten it is a PING of 29 bytes.
        let length = min(received - 1, 43)
        guard length >= ResetToken.shortestReset, resetBudget.takeNow(now: packetTime) else { return }
        let token = resetToken(for: dcid)
        answer(local, remote, capacity: length) { buffer, capacity in
            dep2p_write_stateless_reset(buffer, capacity, token)
        }
    }

    // MARK: Closed connections

    func keepClosePacket(
        _ packet: [UInt8], for connection: Connection, local: SocketAddress, remote: SocketAddress, lifetime: Duration
    ) {
        let ids = connection.connectionIDs
        guard !isClosed, lingering.count + ids.count <= Self.maxLingering else { return }
        for id in ids {
            lingering[id] = Lingering(
                packet: packet, local: local, remote: remote, isConfirmed: connection.isConfirmed,
                answersLeft: Self.closeAnswers)
        }
        _ = clock.schedule(after: lifetime) { [weak self] in
            for id in ids { self?.lingering[id] = nil }
        }
    }

    /// Who asks late will not be answered any more: the close of each connection that stood goes once more, for one may be lost.
    func repeatCloses() {
        var told: Set<[UInt8]> = []
        // In an order that is the same wherever this runs.
        for (_, entry) in lingering.sorted(by: { $0.key.words < $1.key.words })
        where entry.isConfirmed && told.insert(entry.packet).inserted {
            entry.packet.withUnsafeBytes { bytes in
                send(
                    PacketBurst(
                        bytes: bytes, segment: bytes.count, local: entry.local, remote: entry.remote, ecn: 0))
            }
        }
    }

    private func answerLate(_ id: ConnectionID) {
        guard var entry = lingering[id], entry.answersLeft > 0 else { return }
        entry.answersLeft -= 1
        lingering[id] = entry
        entry.packet.withUnsafeBytes { bytes in
            send(
                PacketBurst(
                    bytes: bytes, segment: bytes.count, local: entry.local, remote: entry.remote, ecn: 0))
        }
    }
}

extension Connection {
    /// Ends a handshake so that another can begin. Who has proven its address hears of it, and may dial again.
    func giveWay() {
        if validatedPath.isProven {
            sendClose(
                kind: DEP2P_CLOSE_TRANSPORT, code: Endpoint.connectionRefused, reason: "too many handshakes at once",
                lingers: false)
        }
        finish(CloseReason(.local, reason: "gave way to another handshake"))
    }

    /// A dial of `remote` that has not received a single datagram.
    func isWaitingForFirstAnswer(from remote: SocketAddress) -> Bool {
        guard role == .client, case .handshaking = state, bytesReceived == 0 else { return false }
        return path.remote == remote
    }

    func failDial(_ remote: SocketAddress, errno: Int32) {
        guard isWaitingForFirstAnswer(from: remote) else { return }
        let refused = errno == 111  // ECONNREFUSED
        established.resume(
            throwing: QUICError(
                refused ? .refused : .unreachable,
                refused
                    ? "nothing listens at \(remote)" : "no route to \(remote): \(FileError(errno: errno).description)"))
        finish(CloseReason(.local, reason: "unreachable"))
    }
}
