internal import CDeP2PQUICShim
package import DeP2PReactor

/// Relay frames: through this endpoint's circuits as a client, and between others' as a relay.
extension Endpoint {
    /// Starts passing on the frames of circuits, as a relay does.
    package func startForwarding() -> RelayForwarder {
        if let forwarder { return forwarder }
        let forwarder = RelayForwarder(self)
        self.forwarder = forwarder
        return forwarder
    }

    package func forward(
        train: UnsafeMutableRawBufferPointer, segment: Int, local: SocketAddress, remote: SocketAddress, ecn: UInt8
    ) -> Bool {
        guard let forwarder, !isClosed else { return false }
        return forwarder.forward(train, segment: segment, remote: remote, ecn: ecn)
    }

    /// Takes a datagram that is a frame of a known circuit.
    ///
    /// - Returns: false when it is none.
    func receiveFrame(_ bytes: UnsafeMutableRawBufferPointer, remote: SocketAddress, ecn: UInt8) -> Bool {
        guard let (id, epoch) = RelayFrame.header(of: bytes) else { return false }
        if forwarder?.forward(bytes, segment: bytes.count, remote: remote, ecn: ecn) == true { return true }
        guard let leg = circuits[id] else { return false }
        guard leg.isRelay(remote) else { return true }
        leg.heard()
        let ends = leg.ends(of: id, epoch: epoch)
        let packet = UnsafeMutableRawBufferPointer(rebasing: bytes[RelayFrame.headerSize...])
        guard packet.count < Self.initialSize, let first = packet.first, Self.isInitial(first) else {
            receivePacket(packet, local: ends.local, remote: ends.remote, ecn: ecn, isFramed: true)
            return true
        }
        withUnsafeTemporaryAllocation(byteCount: Self.initialSize, alignment: 1) { padded in
            padded.copyMemory(from: UnsafeRawBufferPointer(packet))
            for index in packet.count..<padded.count { padded[index] = 0 }
            addedZeros = padded.count - packet.count
            defer { addedZeros = 0 }
            receivePacket(padded, local: ends.local, remote: ends.remote, ecn: ecn, isFramed: true)
        }
        return true
    }

    /// RFC 9000 14.1: what a server wants of a datagram with an Initial packet. Zeros behind the last packet are none, and a
    /// circuit need not carry them: it leads to one peer, and to no address that somebody else could name.
    private static let initialSize = 1_200

    /// RFC 9000 17.2.2, whatever the fixed bit is.
    private static func isInitial(_ first: UInt8) -> Bool { first & 0xb0 == 0x80 }
}

extension Connection {
    /// Whether the peer's packets come from `remote` now, or did until a move that is still to be validated.
    func isAt(_ remote: SocketAddress) -> Bool {
        currentAddresses?.remote == remote || validatedAddresses?.remote == remote
    }

    /// Where this connection's packets leave and arrive now; `nil` once it has ended.
    var currentAddresses: (local: SocketAddress, remote: SocketAddress)? {
        guard let quic else { return nil }
        var local = dep2p_address()
        var remote = dep2p_address()
        dep2p_quic_path(quic, &local, &remote)
        return (SocketAddress(local), SocketAddress(remote))
    }
}
