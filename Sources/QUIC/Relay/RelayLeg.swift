package import DeP2PIdentity
package import DeP2PReactor
internal import Glibc

/// A client's way through one relay: below QUIC it looks like a socket of its own.
///
/// Its addresses are fake ones of fd00::/8: one for this end, one for each circuit's other end; the ports are epochs.
/// Packets leave as relay frames from wherever this node's connection to the relay is now. Calling order:
/// ``open(_:datagramSize:)`` for each circuit that the relay grants, ``close(_:)`` when it ends; the leg closes itself
/// with its connection.
@NetworkActor
package final class RelayLeg: PacketDriver {
    /// Circuits at once through one relay.
    package nonisolated static let circuitLimit = 1_024
    /// Ports are this and the epoch: a port must not be zero.
    private static let basePort: UInt16 = 0x1000
    /// RFC 4193: addresses that mean nothing outside; nothing is ever sent to one.
    private static let uniqueLocal: UInt64 = 0xfd << 56
    /// The most that one UDP datagram's worth of segments may have, headers included.
    private static let burstSize = 65_000
    private static let segmentsPerBurst = 64

    /// The two fake addresses of a circuit in its present epoch.
    package struct Ends: Hashable, Sendable {
        package let local: SocketAddress
        package let remote: SocketAddress
    }

    private struct Circuit {
        let datagramSize: Int?
        let openedAt: NetworkInstant
        var roundTrip: Duration?
        var epoch: UInt8 = 0
    }

    package nonisolated let relayID: NodeID
    /// The connection to the relay.
    package let connection: Connection
    private let endpoint: Endpoint
    private let localIP: IPAddress
    private var circuits: [UInt64: Circuit] = [:]
    private lazy var frames = Memory(byteCount: Self.burstSize)
    /// When a frame last came from the relay, and how many have come, or gone in one go.
    package private(set) var heardAt: NetworkInstant
    package private(set) var carried: UInt64 = 0
    /// Called with the next frame, once: whoever watches the relay rests until then.
    package var onFrame: (@NetworkActor () -> Void)?

    /// - Parameter connection: to the relay, established.
    package init(_ connection: Connection) {
        self.connection = connection
        relayID = connection.remoteNodeID
        endpoint = connection.endpoint
        localIP = FakeAddress.makeHost(from: endpoint.random)
        heardAt = endpoint.clock.now
        endpoint.addLeg(self, local: SocketAddress(localIP, port: Self.basePort))
        connection.onClose.append { [weak self] _ in self?.close() }
    }

    package var circuitCount: Int { circuits.count }

    // MARK: Circuits

    /// Takes a circuit into use.
    ///
    /// - Parameter datagramSize: what the relay says fits for certain, without the frame's header; believed only of a
    ///   relay on this machine.
    /// - Parameter roundTrip: how long this side has waited for the other end's answer; `nil` where the other end waits.
    /// - Returns: `nil` at ``circuitLimit``, or when the id is in use.
    package func open(_ id: UInt64, datagramSize: Int? = nil, roundTrip: Duration? = nil) -> Ends? {
        guard circuits.count < Self.circuitLimit, connection.closeReason == nil, endpoint.addCircuit(id, leg: self)
        else { return nil }
        circuits[id] = Circuit(
            datagramSize: usable(datagramSize), openedAt: endpoint.clock.now, roundTrip: roundTrip)
        return ends(of: id, epoch: 0)
    }

    package func close(_ id: UInt64) {
        guard circuits.removeValue(forKey: id) != nil else { return }
        endpoint.removeCircuit(id)
    }

    /// Fresh addresses for coming back to a circuit from another path.
    package func renew(_ id: UInt64) -> Ends? {
        guard let circuit = circuits[id] else { return nil }
        let epoch = circuit.epoch == RelayFrame.lastEpoch ? 0 : circuit.epoch + 1
        circuits[id]?.epoch = epoch
        return ends(of: id, epoch: epoch)
    }

    /// The connections whose path is this circuit now.
    package func connections(on id: UInt64) -> [Connection] {
        let ends = ends(of: id, epoch: 0)
        return endpoint.connections.valuesInOrder.filter { connection in
            guard let addresses = connection.currentAddresses else { return false }
            return addresses.local.ip == ends.local.ip && addresses.remote.ip == ends.remote.ip
        }
    }

    func ends(of id: UInt64, epoch: UInt8) -> Ends {
        let port = Self.basePort | UInt16(epoch)
        return Ends(
            local: SocketAddress(localIP, port: port),
            remote: SocketAddress(IPAddress(v6High: Self.uniqueLocal, low: id), port: port))
    }

    /// The circuit that a connection's path is; `nil` for a path that is none of this leg's.
    package func circuit(of path: ConnectionPath) -> UInt64? {
        guard path.local?.ip == localIP, let id = path.remote?.ip.low, circuits[id] != nil else { return nil }
        return id
    }

    /// How long the other end of that circuit takes to answer, as far as it is known.
    package func roundTrip(of path: ConnectionPath) -> Duration? {
        guard circuit(of: path) != nil, let remote = path.remote else { return nil }
        return roundTrip(to: remote, now: endpoint.clock.now)
    }

    private func usable(_ size: Int?) -> Int? {
        guard let size, let path = connection.currentAddresses,
            let known = endpoint.knownDatagramSize(from: path.local, to: path.remote), size >= 1_200
        else { return nil }
        return min(size, known - RelayFrame.headerSize)
    }

    /// How long a packet to `remote` and its answer take, as the making of the circuit has shown: who is dialled has answered
    /// the relay when it opened the circuit, and is asked with the first packet that came of it.
    func roundTrip(to remote: SocketAddress, now: NetworkInstant) -> Duration? {
        guard let circuit = circuits[remote.ip.low] else { return nil }
        let time = circuit.roundTrip ?? now.duration(since: circuit.openedAt)
        circuits[remote.ip.low]?.roundTrip = time
        return time
    }

    /// Whether a frame that came from `remote` can be the relay's.
    func isRelay(_ remote: SocketAddress) -> Bool { connection.currentAddresses?.remote == remote }

    /// A frame of a circuit has come.
    func heard() {
        heardAt = endpoint.packetTime
        count()
    }

    private func count() {
        carried &+= 1
        guard let tell = onFrame else { return }
        onFrame = nil
        tell()
    }

    // MARK: PacketDriver

    package var localAddresses: [SocketAddress] { [SocketAddress(localIP, port: Self.basePort)] }

    /// Frames come in through the endpoint's own sockets.
    package func start(_ sink: any PacketSink) {}

    package func knownDatagramSize(to remote: SocketAddress) -> Int? { circuits[remote.ip.low]?.datagramSize }

    package func send(_ burst: PacketBurst) -> SendOutcome {
        let id = burst.remote.ip.low
        guard circuits[id] != nil, burst.segment > 0, let path = connection.currentAddresses else {
            return .failed(ENETUNREACH)
        }
        let epoch = UInt8(truncatingIfNeeded: burst.remote.port) & RelayFrame.lastEpoch
        let size = burst.segment + RelayFrame.headerSize
        let most = min(Self.segmentsPerBurst, Self.burstSize / size)
        guard most > 0, let source = burst.bytes.baseAddress else { return .failed(EMSGSIZE) }
        count()
        if let leg = endpoint.tcpLeg(from: path.local) {
            return withUnsafeTemporaryAllocation(byteCount: RelayFrame.headerSize, alignment: 1) { header in
                RelayFrame.write(circuit: id, epoch: epoch, at: 0, of: header)
                return leg.send(burst, after: UnsafeRawBufferPointer(header))
            }
        }
        let target = frames.bytes
        var (offset, filled, count) = (0, 0, 0)
        while offset < burst.bytes.count {
            let length = min(burst.segment, burst.bytes.count - offset)
            RelayFrame.write(circuit: id, epoch: epoch, at: filled, of: target)
            UnsafeMutableRawBufferPointer(rebasing: target[(filled + RelayFrame.headerSize)...])
                .copyMemory(from: UnsafeRawBufferPointer(start: source + offset, count: length))
            filled += length + RelayFrame.headerSize
            offset += length
            count += 1
            guard count == most || offset >= burst.bytes.count else { continue }
            endpoint.send(
                PacketBurst(
                    bytes: UnsafeRawBufferPointer(rebasing: target[..<filled]), segment: size, local: path.local,
                    remote: path.remote, ecn: burst.ecn))
            (filled, count) = (0, 0)
        }
        return .sent
    }

    package func close() {
        for id in circuits.keys { endpoint.removeCircuit(id) }
        circuits.removeAll()
        endpoint.removeLeg(local: SocketAddress(localIP, port: Self.basePort))
    }
}
