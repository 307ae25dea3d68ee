package import DeP2P
package import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReach
package import DeP2PReactor
internal import DeP2PSessions
internal import DeP2PStorage
internal import Synchronization

/// A machine of a ``SimulatedWorld``: what a node on it learns of it is ``environment``.
@NetworkActor
package final class SimulatedMachine {
    package nonisolated let number: UInt32
    package let ip: IPAddress
    private unowned let world: SimulatedWorld
    private let random: RandomSource
    private let state: MachineState
    fileprivate var changes: [SimulatedChanges] = []
    fileprivate var clockChanges: [SimulatedClockChanges] = []

    init(number: UInt32, ip: IPAddress, in world: SimulatedWorld, random: RandomSource) {
        (self.number, self.ip, self.world, self.random) = (number, ip, world, random)
        let interface = InterfaceAddress(SocketAddress(ip, port: 0), prefixLength: ip.family == .v4 ? 24 : 64)
        state = MachineState(interfaces: [interface])
    }

    package var environment: NodeEnvironment {
        let (network, state, names, time) = (world.network, state, world.names, world.wallClock)
        let wallClock: @Sendable () -> UInt64 = { time().addingSaturating(state.clockOffset) }
        return NodeEnvironment(
            clock: network, wallClock: wallClock, random: random,
            interfaces: { state.interfaces },
            links: {
                [NetworkLink(index: 1, name: "eth0", isLoopback: false, addresses: state.interfaces)]
            }, gateway: { _ in nil },
            names: NameSource(
                addresses: { name, family in names.look(up: name, family) },
                texts: { name, _ in names.texts(of: name) }, zone: { _ in nil }),
            sockets: SimulatedSockets(machine: self, network: network, ip: ip),
            storage: { folder, _ in state.disk(folder, wallClock) },
            host: HostMark(secret: Array("machine \(number)".utf8), machine: Array("machine \(number)".utf8)),
            network: { "network of \(state.interfaces.map(\.address.ip))" })
    }

    /// Sockets that a node opens from now on have these addresses, and the nodes hear of the change.
    package func changeInterfaces(to interfaces: [InterfaceAddress]) {
        state.interfaces = interfaces
        for listener in changes { listener.onChange?() }
    }

    /// Somebody sets its wall clock by so much, forwards or backwards.
    package func setClock(by change: Duration) {
        state.clockOffset += Int64(change / .milliseconds(1))
        tell(.set(by: change))
    }

    /// It wakes up; what came due meanwhile is the network's to hold back (`SimulatedNetwork.standStill`).
    package func wake(after sleep: Duration) { tell(.slept(sleep)) }

    private func tell(_ change: ClockChange) {
        for listener in clockChanges { listener.onChange?(change) }
    }
}

extension UInt64 {
    fileprivate func addingSaturating(_ change: Int64) -> UInt64 {
        change < 0 ? self - Swift.min(self, change.magnitude) : self + change.magnitude
    }
}

/// What can change while nodes run, read from any thread.
private final class MachineState: Sendable {
    private struct Values {
        var interfaces: [InterfaceAddress]
        var disks: [String: MemoryStorage] = [:]
        /// Milliseconds by which its wall clock is ahead of the world's.
        var clockOffset: Int64 = 0
    }

    private let values: Mutex<Values>

    init(interfaces: [InterfaceAddress]) { values = Mutex(Values(interfaces: interfaces)) }

    var interfaces: [InterfaceAddress] {
        get { values.withLock { $0.interfaces } }
        set { values.withLock { $0.interfaces = newValue } }
    }

    var clockOffset: Int64 {
        get { values.withLock { $0.clockOffset } }
        set { values.withLock { $0.clockOffset = newValue } }
    }

    /// A disk keeps what is on it when a node stops.
    func disk(_ folder: String, _ wallClock: @escaping @Sendable () -> UInt64) -> MemoryStorage {
        values.withLock { values in
            if let known = values.disks[folder] { return known }
            let disk = MemoryStorage(clock: wallClock)
            values.disks[folder] = disk
            return disk
        }
    }
}

/// Tells the nodes of a machine that its addresses have changed.
@NetworkActor
private final class SimulatedChanges: NetworkChangeSource {
    var onChange: (@NetworkActor () -> Void)?

    func close() { onChange = nil }
}

@NetworkActor
private final class SimulatedClockChanges: ClockChangeSource {
    var onChange: (@NetworkActor (ClockChange) -> Void)?

    func close() { onChange = nil }
}

/// A machine's sockets, on the simulated network.
private struct SimulatedSockets: NodeSockets {
    /// TCP and TLS over it are the kernel's only.
    struct Unsupported: Error {}

    /// The port of a node that asks for none.
    private static let port: UInt16 = 4001
    /// Where free ports begin.
    private static let free: UInt16 = 50_000

    let machine: SimulatedMachine
    let network: SimulatedNetwork
    let ip: IPAddress

    var areSystem: Bool { false }

    func driver(_ addresses: [SocketAddress]) throws -> any PacketDriver {
        let asked = addresses.first ?? SocketAddress(ip, port: 0)
        return network.makeDriver(address: bind(asked, from: Self.port))
    }

    func listener(_ addresses: [SocketAddress]) throws -> TCPListener? {
        guard addresses.isEmpty else { throw Unsupported() }
        return nil
    }

    func channel(_ address: SocketAddress, forStrangers: Bool) throws -> any DatagramChannel {
        guard address.ip.family == ip.family else { throw Unsupported() }
        return DatagramSocket(network.makeDriver(address: bind(address, from: Self.free)), clock: network)
    }

    func member(of group: SocketAddress, on interface: UInt32) throws -> any DatagramChannel {
        guard group.ip.family == ip.family else { throw Unsupported() }
        let port = group.port == 0 ? bind(SocketAddress(ip, port: 0), from: Self.free).port : group.port
        let driver = network.makeMember(of: group.ip, at: SocketAddress(ip, port: port))
        return DatagramSocket(driver, clock: network)
    }

    func changes() -> (any NetworkChangeSource)? {
        let changes = SimulatedChanges()
        machine.changes.append(changes)
        return changes
    }

    func clockChanges() -> (any ClockChangeSource)? {
        let changes = SimulatedClockChanges()
        machine.clockChanges.append(changes)
        return changes
    }

    func source(toward destination: SocketAddress) -> IPAddress? { destination.ip.family == ip.family ? ip : nil }

    @NetworkActor
    private func bind(_ address: SocketAddress, from first: UInt16) -> SocketAddress {
        let own = address.ip.isUnspecified ? ip : address.ip
        guard address.port == 0 else { return SocketAddress(own, port: address.port) }
        var port = first
        while network.isTaken(SocketAddress(own, port: port)), port < .max { port += 1 }
        return SocketAddress(own, port: port)
    }
}
