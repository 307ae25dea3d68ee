internal import CQUICShim
internal import DeP2PReactor

/// What streams ask of their connection.
extension Connection {
    /// Puts a stream in line for sending.
    func enqueue(_ stream: QUICStream) {
        guard !stream.isQueued, stream.sending.hasWork, quic != nil else { return }
        stream.isQueued = true
        sendQueue.append(stream)
        markDirty()
    }

    /// The application took `count` bytes: the peer may send as many more.
    func consumed(_ count: Int, by stream: QUICStream) {
        guard let quic, count > 0 else { return }
        if !stream.isClosedByTransport { dep2p_quic_extend_stream(quic, stream.id, UInt64(count)) }
        if receiveWindow.consume(UInt64(count)) {
            let credit = receiveWindow.grant(
                now: endpoint.clock.now, roundTrip: statistics.smoothedRTT, unread: UInt64(clamping: receiveMemory))
            dep2p_quic_extend_connection(quic, credit)
        }
        markDirty()
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

    func returnStreamCredit() {
        guard let quic else { return }
        dep2p_quic_release_stream_credit(quic, 1)
        markDirty()
    }

    func markDirty() {
        guard !isDirty, quic != nil else { return }
        isDirty = true
        endpoint.needsFlush(self)
    }
}
