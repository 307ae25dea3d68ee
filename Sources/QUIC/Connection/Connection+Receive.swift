internal import CDeP2PQUICShim
internal import DeP2PReactor

/// Datagrams and time, in.
extension Connection {
    func receive(_ bytes: UnsafeMutableRawBufferPointer, local: SocketAddress, remote: SocketAddress, ecn: UInt8) {
        guard let quic else { return }
        let count = bytes.count - endpoint.addedZeros
        bytesReceived += UInt64(count)
        countReceived(count, local: local, remote: remote)
        var localRaw = local.raw
        var remoteRaw = remote.raw
        let status = dep2p_quic_read(
            quic, &localRaw, &remoteRaw, ecn, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count,
            endpoint.packetTime.nanoseconds)
        let heard = dep2p_quic_heard(quic)
        receivedAt = heard == 0 ? endpoint.packetTime : NetworkInstant(nanoseconds: heard)
        afterCall(status)
        if self.quic != nil { endpoint.noteMemory(of: self) }
    }

    func handleExpiry() {
        // The peer may have stood still as well. It is asked before that time counts as silence of its: with the keep-alive
        // overdue something is sent now, from which the idle timeout begins anew (RFC 9000 10.1).
        if isAnnounced, hasStoodStill { flush() }
        guard let quic else { return }
        afterCall(dep2p_quic_handle_expiry(quic, endpoint.clock.now.nanoseconds))
        lookForBlackHole()
    }

    private func lookAtPath() {
        guard let path = currentAddresses else { return }
        staysOnMachine = endpoint.knownDatagramSize(from: path.local, to: path.remote) != nil
    }

    private func lookForBlackHole() {
        // Nothing between two addresses of one machine can become narrower.
        guard isAnnounced, !staysOnMachine, let quic else { return }
        guard dep2p_quic_path_datagram_size(quic) > BlackHoleDetector.floor else { return }
        var info = dep2p_quic_info()
        dep2p_quic_info_get(quic, &info)
        blackHole.timerFired(
            BlackHoleDetector.Observation(
                acknowledgements: acknowledgements, bytesInFlight: info.bytes_in_flight,
                smoothedRTT: .nanoseconds(Int64(clamping: info.smoothed_rtt)), now: endpoint.clock.now))
    }

    /// What follows from a call into ngtcp2, now that none of its callbacks is running.
    private func afterCall(_ status: Int32) {
        if case .handshaking = state { greet() }
        if case .established = state, !isAnnounced { announce() }
        if !openedStreams.isEmpty {
            // Taken over and given back: emptying a list that somebody reads would allocate another.
            var opened: [QUICStream] = []
            swap(&opened, &openedStreams)
            for stream in opened {
                if let onStream { onStream(stream) } else { stream.reset(0) }
            }
            opened.removeAll(keepingCapacity: true)
            if openedStreams.isEmpty { openedStreams = opened }
        }
        if wasReset { return finish(CloseReason(.reset)) }
        if pathMayHaveChanged { reportPath() }
        reportMigration()
        switch Int(status) {
        case DEP2P_QUIC_OK: markDirty()
        case DEP2P_QUIC_DRAINING: finish(peerCloseReason())
        case DEP2P_QUIC_CLOSING, DEP2P_QUIC_DROP:
            finish(CloseReason(.protocolViolation, reason: "the peer's handshake was unusable"))
        case DEP2P_QUIC_IDLE_TIMEOUT: finish(CloseReason(.idleTimeout, reason: silenceCause))
        case DEP2P_QUIC_HANDSHAKE_TIMEOUT: finish(CloseReason(.handshakeTimeout))
        case DEP2P_QUIC_VERSION:
            versionMismatched = true
            finish(CloseReason(.protocolViolation, reason: "the peer speaks no QUIC version 1"))
        default: fail()
        }
    }

    /// A protocol or TLS failure that this side noticed: the peer is told.
    func fail() {
        guard let quic else { return }
        var alert: UInt8 = 0
        let text = dep2p_quic_failure(quic, &alert).map { String(cString: $0) } ?? "unknown failure"
        sendClose(kind: DEP2P_CLOSE_LIBRARY, code: 0, reason: "")
        finish(CloseReason(.protocolViolation, code: alert == 0 ? 0 : 0x100 + UInt64(alert), reason: text))
    }

    /// Tells the observer when the path is another than the last reported one.
    func reportPath() {
        pathMayHaveChanged = false
        let current = path
        guard current != reportedPath else { return }
        settle(beforeTaking: current.kind)
        reportedPath = current
        blackHole.pathChanged()
        wideDatagrams.pathChanged(sent: bytesSent)
        lookAtPath()
        onPathChange?(current)
    }

    private func reportMigration() {
        guard let outcome = migrationOutcome else { return }
        migrationOutcome = nil
        onMigrationEnd?(outcome)
    }

    private func announce() {
        isAnnounced = true
        // Who finishes a handshake receives where it says (RFC 9000 8.1).
        provePath()
        lookAtPath()
        endHandshakeTimer()
        let path = path
        settle(beforeTaking: path.kind)
        reportedPath = path
        guard let quic else { return }
        dep2p_quic_keep_alive(quic, endpoint.configuration.keepAlive.clampedNanoseconds)
        watchSilence()
        endpoint.handshakeFinished(self)
        established.resume(returning: ())
    }

    private func peerCloseReason() -> CloseReason {
        guard let quic else { return CloseReason(.peer) }
        var close = dep2p_close()
        dep2p_quic_peer_close(quic, &close)
        let reason = withUnsafeBytes(of: close.reason) { bytes in
            String(decoding: bytes.prefix(close.reason_length), as: UTF8.self)
        }
        let text = reason.isEmpty && close.is_application == 0 ? Self.transportCloseText(close.code) : reason
        return CloseReason(.peer, code: close.code, isApplication: close.is_application != 0, reason: text)
    }

    /// RFC 9000 20.1, and TLS alerts as RFC 9001 4.8 carries them.
    static func transportCloseText(_ code: UInt64) -> String {
        switch code {
        case 0x00: "no error"
        case 0x01: "internal error"
        case 0x02: "it accepts no more connections"
        case 0x0b: "invalid token"
        case 0x12a, 0x12b, 0x12d, 0x12e, 0x130, 0x131, 0x133, 0x174:
            "it did not accept this side's certificate (TLS alert \(code - 0x100))"
        case 0x178: "it speaks another application protocol"
        case 0x100..<0x200: "TLS alert \(code - 0x100)"
        default: "transport error \(code)"
        }
    }
}
