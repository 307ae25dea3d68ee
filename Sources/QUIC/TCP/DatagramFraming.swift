internal import DeP2PReactor

/// How datagrams travel in a byte stream: `length (2 bytes, big endian) ‖ datagram`.
enum DatagramFraming {
    static let headerSize = 2
    /// The longest datagram taken: more than any path carries but that inside one machine.
    static let largestDatagram = 16_384
}
