internal import CDeP2PQUICShim
internal import DeP2PReactor

/// What streams ask of their connection.
extension Connection {
    /// Puts a stream in line for sending.
    func enqueue(_ stream: QUICStream) {
        guard !stream.isQueued, stream.sending.hasWork, quic != nil else { return }
        stream.isQueued = true
        sendQueue.append(stream)
        markDirty()
        newlyQueued += 1
        if newlyQueued == Self.streamsWorthSending { endpoint.hasten() }
    }

    /// So many streams that have something new are sent before the rest of the tasks run that are ready: else, with many
    /// requests under way, this side would answer all while the peer waits, and then wait while the peer takes them all.
    private static let streamsWorthSending = 8

    /// The application took `count` bytes: the peer may send as many more.
    ///
    /// - Parameter lent: those of them that the connection has granted anew before.
    func consumed(_ count: Int, lent: Int = 0, by stream: QUICStream) {
        guard let quic, count > 0 else { return }
        lentBytes -= lent
        if !stream.isClosedByTransport { dep2p_quic_extend_stream(quic, stream.id, UInt64(count)) }
        grantAnew(count - lent)
        markDirty()
    }

    /// Grants the peer as many bytes anew as have arrived, on the connection but not on their stream, although nobody has
    /// read them: so that a stream whose reader takes its time holds back itself alone. Up to
    /// ``ConnectionAllowance/lending``: beyond, the others wait as well, and this side's memory stays bounded.
    ///
    /// - Returns: for how many of `count` that holds.
    func lend(_ count: Int) -> Int {
        guard quic != nil else { return 0 }
        let lent = min(count, ConnectionAllowance.lending - lentBytes)
        lentBytes += lent
        grantAnew(lent)
        return lent
    }

    /// Opens what the peer may send to its bound at once, and that stream's share of it, instead of by and by: behind a
    /// lost packet nothing is read for a round trip or two, in which a start doubles what is under way each time. Where a
    /// round trip is short the windows would only fill this side's socket, and they are left to grow as they are read.
    func openWindow(of stream: QUICStream) {
        guard let quic, !stream.isClosedByTransport, statistics.minRTT >= ReceiveWindow.far else { return }
        let credit = receiveWindow.raise(to: receiveWindow.limit, limit: receiveWindow.limit)
        if credit > 0 { dep2p_quic_extend_connection(quic, credit) }
        dep2p_quic_extend_stream(quic, stream.id, receiveWindow.limit / 2)
        markDirty()
    }

    private func grantAnew(_ count: Int) {
        guard let quic, count > 0 else { return }
        if receiveWindow.consume(UInt64(count)) {
            let statistics = statistics
            let credit = receiveWindow.grant(
                now: endpoint.clock.now, roundTrip: statistics.smoothedRTT, shortestRoundTrip: statistics.minRTT,
                unread: UInt64(clamping: receiveMemory))
            dep2p_quic_extend_connection(quic, credit)
            markDirty()
        }
    }

    func resetSending(_ stream: QUICStream, code: UInt64) {
        guard let quic, !stream.isClosedByTransport else { return }
        dep2p_quic_reset_stream(quic, stream.id, code)
        markDirty()
    }

    func stopReceiving(_ stream: QUICStream, code: UInt64) {
        guard let quic, !stream.isClosedByTransport else { return }
        dep2p_quic_stop_stream(quic, stream.id, code)
        markDirty()
    }

    /// The peer may open a stream in the place of one. It is told with the next data that goes there, or after a while:
    /// else that would be a packet of its own, and its acknowledgement another. At once when it may need it.
    func returnStreamCredit() {
        countedStreams -= 1
        heldStreamCredit += 1
        if 2 * (countedStreams + heldStreamCredit) >= allowance.streams {
            releaseStreamCredit()
            markDirty()
        } else if streamCreditTimer == nil {
            streamCreditTimer = endpoint.clock.schedule(after: Self.streamCreditPatience) { [weak self] in
                guard let self else { return }
                streamCreditTimer = nil
                guard heldStreamCredit > 0 else { return }
                releaseStreamCredit()
                markDirty()
            }
        }
    }

    private static let streamCreditPatience = Duration.milliseconds(500)

    func releaseStreamCredit() {
        guard let quic, heldStreamCredit > 0 else { return }
        dep2p_quic_release_stream_credit(quic, heldStreamCredit)
        heldStreamCredit = 0
    }

    func markDirty() {
        guard !isDirty, quic != nil else { return }
        isDirty = true
        endpoint.needsFlush(self)
    }
}
