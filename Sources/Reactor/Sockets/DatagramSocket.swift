internal import CDeP2PReactor
package import DeP2PIdentity
import Glibc

/// A socket for protocols that speak in single datagrams (STUN, PCP): a driver's own, or the one QUIC uses.
@NetworkActor
package protocol DatagramChannel: AnyObject, Sendable {
    /// The address it receives on; the wildcard address with its real port unless it was bound to another.
    var localAddress: SocketAddress { get }
    var onDatagram: (@NetworkActor (Datagram) -> Void)? { get set }
    /// The network reported that datagrams to this address do not arrive (ICMP). Forgeable: a hint.
    var onUnreachable: (@NetworkActor (SocketAddress) -> Void)? { get set }
    /// Sends, or loses, one datagram: what the kernel does not take at once is lost as if on the way.
    ///
    /// - Parameter source: this machine's address that it is to carry; `nil` leaves the choice to the kernel.
    func send(_ bytes: [UInt8], to remote: SocketAddress, from source: IPAddress?)
    func close()
}

extension DatagramChannel {
    package func send(_ bytes: [UInt8], to remote: SocketAddress) { send(bytes, to: remote, from: nil) }
}

/// A single datagram, copied: it may be kept.
package struct Datagram: Sendable {
    package let bytes: [UInt8]
    package let local: SocketAddress
    package let remote: SocketAddress

    package init(bytes: [UInt8], local: SocketAddress, remote: SocketAddress) {
        (self.bytes, self.local, self.remote) = (bytes, local, remote)
    }
}

/// A datagram channel over a driver of its own.
@NetworkActor
package final class DatagramSocket: DatagramChannel {
    private let driver: any PacketDriver
    private var budget: StrangerBudget?
    private let clock: any NetworkClock
    package let localAddress: SocketAddress
    package var onDatagram: (@NetworkActor (Datagram) -> Void)?
    package var onUnreachable: (@NetworkActor (SocketAddress) -> Void)?

    /// - Parameters:
    ///   - driver: not started yet, with one local address.
    ///   - budget: for a socket that strangers write to unasked: what is beyond it is dropped.
    package init(
        _ driver: any PacketDriver, budget: StrangerBudget? = nil, clock: any NetworkClock = SystemNetworkClock.shared
    ) {
        (self.driver, self.budget, self.clock) = (driver, budget, clock)
        localAddress = driver.localAddresses.first ?? SocketAddress(.v4Any, port: 0)
        driver.start(self)
    }

    /// A UDP socket on a free port of every address of `family`.
    package convenience init(_ family: IPAddress.Family) throws(BindError) {
        try self.init(bind: SocketAddress(family == .v4 ? .v4Any : .v6Any, port: 0))
    }

    /// A UDP socket at one address.
    package convenience init(bind address: SocketAddress, budget: StrangerBudget? = nil) throws(BindError) {
        self.init(try UDPDriver(bind: [address]), budget: budget)
    }

    /// A UDP socket in a multicast group, which anyone on the link may write to: see ``UDPDriver/init(group:interface:)``.
    package convenience init(
        group: SocketAddress, interface: UInt32, budget: StrangerBudget = StrangerBudget()
    ) throws(BindError) {
        self.init(try UDPDriver(group: group, interface: interface), budget: budget)
    }

    package func send(_ bytes: [UInt8], to remote: SocketAddress, from source: IPAddress?) {
        let local = source.map { SocketAddress($0, port: localAddress.port) } ?? localAddress
        bytes.withUnsafeBytes { bytes in
            let burst = PacketBurst(bytes: bytes, segment: bytes.count, local: local, remote: remote, ecn: 0)
            // Too large for the path says nothing about who listens at its end.
            if case .failed(let error) = driver.send(burst), error != EMSGSIZE { onUnreachable?(remote) }
        }
    }

    package func close() {
        onDatagram = nil
        onUnreachable = nil
        driver.close()
    }
}

extension DatagramSocket: PacketSink {
    package func receive(
        _ bytes: UnsafeMutableRawBufferPointer, local: SocketAddress, remote: SocketAddress, ecn: UInt8
    ) {
        guard let onDatagram, budget?.admits(bytes.count, from: remote, now: clock.now) != false else { return }
        onDatagram(Datagram(bytes: Array(bytes), local: local, remote: remote))
    }

    package func driverIsWritable() {}

    package func driverReportsUnreachable(_ remote: SocketAddress, errno: Int32) { onUnreachable?(remote) }
}

extension IPAddress {
    /// The address of this machine that datagrams to `destination` carry; `nil` when there is no route.
    package static func source(toward destination: SocketAddress) -> IPAddress? {
        var (raw, result) = (destination.raw, dep2p_address())
        return dep2p_route_source(&raw, &result) == 0 ? SocketAddress(result).ip : nil
    }
}
