package import CDeP2PReactor
private import DeP2PIdentity

/// The one seam between the engine and datagrams: the kernel's UDP sockets, a relay's legs, or a simulated network.
///
/// Calling order: ``start(_:)`` once, then ``send(_:)`` at will until ``close()``. After ``SendOutcome/blocked`` the
/// sink hears ``PacketSink/driverIsWritable()`` once sending works again.
@NetworkActor
package protocol PacketDriver: AnyObject, Sendable {
    /// The addresses this driver receives on, with their real ports.
    var localAddresses: [SocketAddress] { get }
    func start(_ sink: any PacketSink)
    func send(_ burst: PacketBurst) -> SendOutcome
    /// The largest datagram worth sending to `remote` at once when its path's MTU is known (the same machine);
    /// `nil` when it has to be discovered.
    func knownDatagramSize(to remote: SocketAddress) -> Int?
    func close()
}

/// Who receives a driver's datagrams.
@NetworkActor
package protocol PacketSink: AnyObject {
    /// One datagram; the bytes are valid during the call only and may be overwritten by it.
    func receive(_ bytes: UnsafeMutableRawBufferPointer, local: SocketAddress, remote: SocketAddress, ecn: UInt8)
    /// Whether trains whose first datagram starts with `byte` are offered to ``forward(train:segment:local:remote:ecn:)``.
    func forwards(_ byte: UInt8) -> Bool
    /// A train of datagrams of `segment` bytes each, the last perhaps shorter, that arrived together: a chance to pass
    /// it on as a whole. The bytes may be overwritten when it returns true, and only then.
    ///
    /// - Returns: whether the train was dealt with; if not, each datagram is received by itself.
    func forward(
        train: UnsafeMutableRawBufferPointer, segment: Int, local: SocketAddress, remote: SocketAddress, ecn: UInt8
    ) -> Bool
    func driverIsWritable()
    /// The network reported that datagrams to `remote` do not arrive (ICMP). A hint: anyone on the path can forge it.
    func driverReportsUnreachable(_ remote: SocketAddress, errno: Int32)
}

extension PacketSink {
    package func forwards(_ byte: UInt8) -> Bool { false }

    package func forward(
        train: UnsafeMutableRawBufferPointer, segment: Int, local: SocketAddress, remote: SocketAddress, ecn: UInt8
    ) -> Bool { false }
}

/// Datagrams of equal length (the last may be shorter) to one destination.
package struct PacketBurst {
    package let bytes: UnsafeRawBufferPointer
    /// Bytes of each datagram but the last.
    package let segment: Int
    package let local: SocketAddress
    package let remote: SocketAddress
    package let ecn: UInt8

    package init(
        bytes: UnsafeRawBufferPointer, segment: Int, local: SocketAddress, remote: SocketAddress, ecn: UInt8
    ) {
        (self.bytes, self.segment, self.ecn) = (bytes, segment, ecn)
        (self.local, self.remote) = (local, remote)
    }
}

package enum SendOutcome: Equatable, Sendable {
    case sent
    /// The socket's buffer is full; nothing was sent.
    case blocked
    /// These datagrams are lost, as if on the way; the `errno` says why.
    case failed(Int32)
}

extension SocketAddress {
    package init(_ address: dep2p_address) {
        let ip =
            address.family == 4
            ? IPAddress(v4: UInt32(truncatingIfNeeded: address.low))
            : IPAddress(v6High: address.high, low: address.low)
        self.init(ip, port: address.port, scope: address.scope)
    }

    package var raw: dep2p_address {
        dep2p_address(high: ip.high, low: ip.low, scope: scope, port: port, family: ip.family.rawValue)
    }
}
