internal import CDeP2PQUICShim
package import DeP2PReactor
internal import DequeModule

/// Datagrams, out.
extension Connection {
    /// Vectors offered to ngtcp2 for one packet.
    private static let vectorsPerWrite = 8
    /// Bursts of one flush before received packets and other connections get their turn.
    private static let burstsPerFlush = 4
    /// The kernel takes at most this many segments in one burst (UDP_MAX_SEGMENTS of older kernels).
    private static let segmentsPerBurst = 64

    /// Streams blocked by their window that one flush offers again.
    private static let retriesPerFlush = 4

    /// The timer granularity that RFC 9002 6.1.2 recommends.
    private static let expiryGranularity = Duration.milliseconds(1)

    /// RFC 9000 14.1: the size that every path must carry.
    private static let handshakeDatagram = 1_200

    /// A ClientHello of this side's fits into one Initial packet of that size, and ngtcp2 pads that to no more than it has.
    /// What RFC 9000 14.1 wants of UDP is for nothing on a circuit: nobody else can send by it, and its other end gets the
    /// rest there (``Endpoint/receiveFrame(_:remote:ecn:)``).
    private static let relayedHello = 352

    /// A relay carries no probes for larger datagrams before it has carried so much of this side's: most connections leave
    /// it before that, and each probe is as long as all that they say on it. Those of one round trip lose little.
    private static let quietOnRelay: UInt64 = 16_384

    private struct Datagram {
        let count: Int
        let local: SocketAddress
        let remote: SocketAddress
        let ecn: UInt8

        func follows(_ other: Datagram) -> Bool {
            local == other.local && remote == other.remote && ecn == other.ecn && count <= other.count
        }
    }

    /// Sends what waits to be sent and may be, at once and not at the end of this turn of the network thread.
    package func sendPending() { if isDirty { flush() } }

    /// Sends what may be sent now and sets the timer.
    func flush() {
        isDirty = false
        newlyQueued = 0
        retryBlocked()
        if !sendQueue.isEmpty { releaseStreamCredit() }
        var more = true
        for _ in 0..<Self.burstsPerFlush where more && quic != nil { more = sendBurst() }
        if more { markDirty() }
        armTimer()
    }

    /// Offers a few streams that wait for their window to ngtcp2 again: that is how a peer's STOP_SENDING shows.
    private func retryBlocked() {
        for _ in 0..<min(blockedStreams.count, Self.retriesPerFlush) {
            guard let stream = blockedStreams.popFirst() else { return }
            stream.isHeldBack = false
            guard !stream.isQueued, !stream.isClosedByTransport, stream.sending.hasWork else { continue }
            stream.isQueued = true
            sendQueue.append(stream)
        }
    }

    private func holdBack(_ stream: QUICStream) {
        guard !stream.isHeldBack else { return }
        stream.isHeldBack = true
        blockedStreams.append(stream)
    }

    /// Fills the endpoint's buffer with datagrams of one path and length, and sends them at once.
    ///
    /// - Returns: whether there may be more to send now.
    private func sendBurst() -> Bool {
        guard let quic, let base = endpoint.sendBuffer.baseAddress else { return false }
        guard endpoint.canSend else { return false }
        let now = endpoint.clock.now.nanoseconds
        // Larger datagrams wait for the handshake: ngtcp2 would pad each Initial to the full size.
        let largest = isAnnounced ? largestDatagram(quic) : beginsOnRelay ? Self.relayedHello : Self.handshakeDatagram
        let size = blackHole.cap(now: endpoint.clock.now).map { min($0, largest) } ?? largest
        let room = size == WideDatagrams.whole ? endpoint.sendBuffer.count : UDPDriver.bytesPerCall
        let limit = min(
            room, Self.segmentsPerBurst * dep2p_quic_path_datagram_size(quic),
            max(dep2p_quic_send_quantum(quic), size))
        var start = 0
        var end = 0
        var first: Datagram?
        var exhausted = false
        while end + size <= max(limit, size), end + size <= endpoint.sendBuffer.count {
            guard let next = writeDatagram(base + end, capacity: size, now: now) else {
                exhausted = true
                break
            }
            if let current = first, !next.follows(current) {
                emit(start..<end, current)
                start = end
                first = next
            } else if first == nil {
                first = next
            }
            end += next.count
            // A shorter datagram ends a GSO burst.
            if let current = first, next.count < current.count { break }
        }
        if let first { emit(start..<end, first) }
        // Pacing starts after the handshake: before an RTT sample it would spread a flight of a few packets over the
        // guessed RTT, and RFC 9002 7.7 allows the initial window at once. Within one machine there is no queue to spare,
        // and ngtcp2 1.11 counts the pace in whole nanoseconds a byte: none at all, or 1 GB/s at most.
        if let quic = self.quic, first != nil, isAnnounced, !staysOnMachine { dep2p_quic_sent(quic, now) }
        return first != nil && !exhausted
    }

    private var beginsOnRelay: Bool {
        guard role == .client, let local = currentAddresses?.local else { return false }
        return endpoint.leg(at: local.ip) is RelayLeg
    }

    /// ngtcp2 sends a probe for a larger datagram when there is room for it.
    private func largestDatagram(_ quic: OpaquePointer) -> Int {
        let isQuiet = settledPath == .relay && traffic[.relay].wire.sent < Self.quietOnRelay
        if isQuiet { return dep2p_quic_path_datagram_size(quic) }
        let largest = dep2p_quic_datagram_size(quic)
        guard largest == WideDatagrams.whole else { return largest }
        wideDatagrams.look(sent: bytesSent, now: endpoint.clock.now) {
            currentAddresses.map { endpoint.beginsOverTCP($0.local) } ?? false
        }
        return wideDatagrams.areDue ? largest : WideDatagrams.half
    }

    private func emit(_ range: Range<Int>, _ datagram: Datagram) {
        bytesSent += UInt64(range.count)
        countSent(range.count, segment: datagram.count, local: datagram.local, remote: datagram.remote)
        endpoint.send(
            PacketBurst(
                bytes: UnsafeRawBufferPointer(rebasing: endpoint.sendBuffer[range]), segment: datagram.count,
                local: datagram.local, remote: datagram.remote, ecn: datagram.ecn))
    }

    /// One datagram with as many streams' bytes as fit; `nil` when nothing may be sent.
    private func writeDatagram(_ target: UnsafeMutableRawPointer, capacity: Int, now: UInt64) -> Datagram? {
        guard let quic else { return nil }
        let result = target.assumingMemoryBound(to: UInt8.self)
        var local = dep2p_address()
        var remote = dep2p_address()
        var ecn: UInt8 = 0
        var accepted = 0
        while true {
            let stream = dep2p_quic_data_left(quic) > 0 ? sendQueue.first : finishOnlyStream()
            let written: Int
            if let stream {
                written = write(
                    stream, quic, &local, &remote, &ecn, result, capacity: capacity, now: now)
            } else {
                written = dep2p_quic_write(
                    quic, &local, &remote, &ecn, result, capacity, &accepted, 0, -1, nil, 0, now)
            }
            switch written {
            case 0: return nil
            case 1...:
                return Datagram(
                    count: written, local: SocketAddress(local), remote: SocketAddress(remote), ecn: ecn)
            case Int(DEP2P_QUIC_STREAM_BLOCKED), Int(DEP2P_QUIC_STREAM_GONE), Int(DEP2P_QUIC_WRITE_MORE): continue
            default:
                endpoint.failAfterFlush(self)
                return nil
            }
        }
    }

    /// The connection's flow control is used up: an end of stream without data may still go.
    private func finishOnlyStream() -> QUICStream? {
        guard let first = sendQueue.first, first.sending.unsent == 0 else { return nil }
        return first
    }

    private func write(
        _ stream: QUICStream, _ quic: OpaquePointer, _ local: inout dep2p_address, _ remote: inout dep2p_address,
        _ ecn: inout UInt8, _ result: UnsafeMutablePointer<UInt8>, capacity: Int, now: UInt64
    ) -> Int {
        withUnsafeTemporaryAllocation(of: dep2p_vec.self, capacity: Self.vectorsPerWrite) { vectors in
            let (count, bytes, isAll) = stream.sending.vectors(into: vectors)
            let finishes = isAll && stream.sending.isFinished
            var accepted = -1
            let written = dep2p_quic_write(
                quic, &local, &remote, &ecn, result, capacity, &accepted,
                UInt32(DEP2P_WRITE_MORE) | (finishes ? UInt32(DEP2P_WRITE_FIN) : 0), stream.id, vectors.baseAddress,
                count, now)
            if accepted > 0, let ledger = endpoint.ledger {
                ledger.handedOver(UnsafeBufferPointer(vectors), count: accepted, stream: stream.id, of: self)
            }
            if accepted >= 0 { stream.advance(accepted, finished: finishes && accepted == bytes) }
            switch written {
            case Int(DEP2P_QUIC_STREAM_GONE):
                dequeueFirst()
                // How ngtcp2 tells that the peer stopped reading; its stream_stop_sending callback is about this side.
                stream.peerStopped()
            case Int(DEP2P_QUIC_STREAM_BLOCKED):
                // Blocked by its own window: its credit callback brings it back. Blocked by the connection's: it stays.
                if dep2p_quic_data_left(quic) > 0 {
                    dequeueFirst()
                    holdBack(stream)
                }
            case Int(DEP2P_QUIC_WRITE_MORE), 1...:
                if !stream.sending.hasWork {
                    dequeueFirst()
                } else if written > 0, sendQueue.count > 1 {
                    dequeueFirst()
                    stream.isQueued = true
                    sendQueue.append(stream)
                }
            default: break
            }
            return written
        }
    }

    private func dequeueFirst() {
        sendQueue.popFirst()?.isQueued = false
    }

    // MARK: Timer

    /// Keeps one clock timer at or before ngtcp2's expiry; a timer that fires early is set again.
    func armTimer() {
        guard let quic else { return }
        var expiry = NetworkInstant(nanoseconds: dep2p_quic_expiry(quic))
        if wasExpired {
            wasExpired = false
            // An old path under validation can leave ngtcp2's timer in the past whatever is done: no busy loop.
            let now = endpoint.clock.now
            if expiry <= now { expiry = now.advanced(by: Self.expiryGranularity) }
        }
        expiry = min(expiry, silenceLook)
        guard timer == nil || expiry < timerDeadline else { return }
        if let timer { endpoint.clock.cancel(timer) }
        timer = nil
        timerDeadline = expiry
        guard expiry != .distantFuture else { return }
        // A nanosecond late: ngtcp2 forgets retired IDs only after their time, and would ask for the same instant again.
        timer = endpoint.clock.schedule(at: expiry.advanced(by: .nanoseconds(1))) { [weak self] in self?.timerFired() }
    }

    private func timerFired() {
        timer = nil
        lookForSilence()
        guard let quic else { return }
        if dep2p_quic_expiry(quic) <= endpoint.clock.now.nanoseconds {
            wasExpired = true
            handleExpiry()
        } else {
            armTimer()
        }
    }

    // MARK: Closing

    /// Writes a CONNECTION_CLOSE, sends it, and leaves a copy with the endpoint for late packets of the peer.
    func sendClose(kind: Int, code: UInt64, reason: String, lingers: Bool = true) {
        guard let quic, let base = endpoint.sendBuffer.baseAddress else { return }
        var local = dep2p_address()
        var remote = dep2p_address()
        let text = Array(reason.utf8.prefix(200))
        let written = dep2p_quic_write_close(
            quic, &local, &remote, base.assumingMemoryBound(to: UInt8.self), dep2p_quic_datagram_size(quic),
            Int32(kind), code, text, text.count, endpoint.clock.now.nanoseconds)
        guard written > 0 else { return }
        bytesSent += UInt64(written)
        countSent(written, segment: written, local: SocketAddress(local), remote: SocketAddress(remote))
        let packet = UnsafeRawBufferPointer(rebasing: endpoint.sendBuffer[0..<written])
        endpoint.send(
            PacketBurst(
                bytes: packet, segment: written, local: SocketAddress(local), remote: SocketAddress(remote), ecn: 0))
        guard lingers else { return }
        endpoint.keepClosePacket(
            Array(packet), for: self, local: SocketAddress(local), remote: SocketAddress(remote),
            lifetime: .nanoseconds(Int64(clamping: 3 &* min(dep2p_quic_pto(quic), 1_000_000_000))))
    }

    // MARK: Paths

    /// Moves the connection to another path once that is validated (client only; RFC 9000 9).
    ///
    /// Rules: `local` differs from the current path's; the handshake is confirmed; none is under way.
    package func migrate(local: SocketAddress, remote: SocketAddress, kind: ConnectionPath.Kind) -> Bool {
        guard let quic, isConfirmed, role == .client, pendingMigration == nil else { return false }
        kindOfPath[local] = kind
        lastCounted = nil
        var localRaw = local.raw
        var remoteRaw = remote.raw
        guard dep2p_quic_migrate(quic, &localRaw, &remoteRaw, endpoint.clock.now.nanoseconds) == 0 else {
            return false
        }
        pendingMigration = (local, remote)
        markDirty()
        return true
    }

    /// Moves the connection off a dead path: at once, and validates the new one then. Instead of a migration that is
    /// under way. The rules are those of ``migrate(local:remote:kind:)``.
    ///
    /// What is under way on the dead path fills the congestion window, and ngtcp2 validates no other path within a full
    /// one; moving empties it, here and on the side that follows.
    package func abandonPath(for local: SocketAddress, remote: SocketAddress, kind: ConnectionPath.Kind) -> Bool {
        guard let quic, isConfirmed, role == .client else { return false }
        kindOfPath[local] = kind
        lastCounted = nil
        var localRaw = local.raw
        var remoteRaw = remote.raw
        guard dep2p_quic_migrate_now(quic, &localRaw, &remoteRaw, endpoint.clock.now.nanoseconds) == 0 else {
            return false
        }
        pendingMigration = (local, remote)
        migrationOutcome = nil
        // The server follows what is no probe.
        nudge()
        return true
    }

    /// Moves the connection to a straight path; as ``migrate(local:remote:kind:)``.
    package func migrate(to remote: SocketAddress, kind: ConnectionPath.Kind) -> Bool {
        guard pendingMigration == nil, let local = straightLocal(to: remote) else { return false }
        setKind(kind, ofPathTo: remote)
        return migrate(local: local, remote: remote, kind: kind)
    }

    /// Moves the connection to a straight path that begins at a further socket of the endpoint's; as
    /// ``migrate(local:remote:kind:)``.
    package func migrate(from socket: SocketAddress, to remote: SocketAddress, kind: ConnectionPath.Kind) -> Bool {
        guard pendingMigration == nil, currentAddresses?.local != socket else { return false }
        setKind(kind, ofPathTo: remote)
        return migrate(local: socket, remote: remote, kind: kind)
    }

    /// Moves the connection off a dead path to a straight one; as ``abandonPath(for:remote:kind:)``.
    package func abandonPath(to remote: SocketAddress, kind: ConnectionPath.Kind) -> Bool {
        guard let local = straightLocal(to: remote) else { return false }
        setKind(kind, ofPathTo: remote)
        return abandonPath(for: local, remote: remote, kind: kind)
    }

    /// Where a straight path to `remote` begins: at the socket's address, or where the present path does so, at an alias.
    private func straightLocal(to remote: SocketAddress) -> SocketAddress? {
        guard let bound = endpoint.localAddress(for: remote), let current = currentAddresses,
            current.remote != remote
        else { return nil }
        guard current.local == bound else {
            aliases.forget(remote)
            return bound
        }
        return aliases.make(for: remote, at: bound, keeping: current.remote)
    }

    func pathValidated(local: SocketAddress, remote: SocketAddress, succeeded: Bool) {
        pathMayHaveChanged = true
        if succeeded { provePath(local: local, remote: remote) }
        // An attempt that failed is over: another may start.
        guard pendingMigration?.local == local else { return }
        pendingMigration = nil
        migrationOutcome = succeeded
    }

    /// Has something sent soon that the peer acknowledges, so that it learns where this side is now.
    package func nudge() {
        guard let quic, case .established = state else { return }
        dep2p_quic_keep_alive(quic, Self.nudgeDelay.clampedNanoseconds)
        markDirty()
        _ = endpoint.clock.schedule(after: Self.nudgeDelay * 2) { [weak self] in
            guard let self, let quic = self.quic else { return }
            dep2p_quic_keep_alive(quic, endpoint.configuration.keepAlive.clampedNanoseconds)
            markDirty()
        }
    }

    private static let nudgeDelay = Duration.milliseconds(1)
}
