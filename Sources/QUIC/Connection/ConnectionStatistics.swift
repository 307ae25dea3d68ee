/// Counters and estimates of one connection.
package struct ConnectionStatistics: Equatable, Sendable {
    package let smoothedRTT: Duration
    package let minRTT: Duration
    package let latestRTT: Duration
    /// Bytes.
    package let congestionWindow: UInt64
    package let bytesInFlight: UInt64
    /// UDP payload, this connection's whole life.
    package let bytesSent: UInt64
    package let bytesReceived: UInt64
    package let openStreams: Int
    /// How often the peer acknowledged what streams had sent, and whether something of theirs still waits for that.
    package let acknowledgements: UInt64
    package let hasUnacknowledged: Bool
    /// The largest datagram the current path carries, as far as discovered.
    package let datagramSize: Int

    /// What there is to say of a connection that counts nothing.
    package static let none = ConnectionStatistics(
        smoothedRTT: .zero, minRTT: .zero, latestRTT: .zero, congestionWindow: 0, bytesInFlight: 0, bytesSent: 0,
        bytesReceived: 0, openStreams: 0, acknowledgements: 0, hasUnacknowledged: false, datagramSize: 0)
}
