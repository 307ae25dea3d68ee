internal import CDeP2PQUICShim

/// How much of this side's memory one connection may fill: what its peer is granted, and what may wait to be sent to it.
///
/// A connection begins with one and is raised to a larger one with ``Connection/promote(to:)``. It never shrinks: QUIC
/// cannot take back what it has granted.
package struct ConnectionAllowance: Hashable, Sendable {
    /// Streams that the peer may have open at once.
    package var streams: Int
    /// Bytes of all streams together that may be under way or wait unread at first.
    ///
    /// It bounds each stream's window as well, which is why streams have no allowance of their own.
    package var window: UInt64
    /// The same at most, once the application has shown that it reads fast; below ``window`` means that the window stays.
    package var maxWindow: UInt64
    /// Bytes of memory that all streams' data may hold on its way to the peer, until that has acknowledged it. Beyond,
    /// ``QUICStream/write(_:)`` waits; and a connection ends whose streams that were given up hold half of it, since
    /// only the peer could free that.
    package var sendMemory: Int

    package static let defaultSendMemory = 64 * 1024 * 1024
    /// Bytes that may wait unread beyond ``window``, in streams whose readers take their time: eight of them that stand still
    /// hold back nobody else.
    package static let lending = 8 * 1024 * 1024

    package init(streams: Int, window: UInt64, maxWindow: UInt64, sendMemory: Int = defaultSendMemory) {
        self.streams = streams
        self.window = window
        self.maxWindow = maxWindow
        self.sendMemory = sendMemory
    }

    /// What one stream may hold although all together hold ``sendMemory``, bytes.
    var streamSendMemory: Int { min(64 * 1024, sendMemory / 16) }
    /// What streams that were given up may hold together, bytes.
    var abandonedMemory: Int { sendMemory / 2 }

    /// The larger of both, number by number.
    func raised(to other: Self) -> Self {
        Self(
            streams: max(streams, other.streams), window: max(window, other.window),
            maxWindow: max(maxWindow, other.maxWindow), sendMemory: max(sendMemory, other.sendMemory))
    }
}

extension Connection {
    /// Raises what the peer is granted to `allowance`, by default to all that the endpoint's configuration allows.
    ///
    /// The peer is told with the next datagram (MAX_DATA, MAX_STREAMS; RFC 9000 19.9 and 19.11). What is lower than at
    /// present stays as it is, so promoting twice, or to less, does nothing.
    package func promote(to allowance: ConnectionAllowance? = nil) {
        guard let quic else { return }
        let raised = self.allowance.raised(to: allowance ?? endpoint.configuration.allowance)
        let streams = raised.streams - self.allowance.streams
        self.allowance = raised
        if streams > 0 { dep2p_quic_release_stream_credit(quic, streams) }
        let credit = receiveWindow.raise(to: raised.window, limit: raised.maxWindow)
        if credit > 0 { dep2p_quic_extend_connection(quic, credit) }
        wakeMemoryWaiters()
        markDirty()
    }
}
