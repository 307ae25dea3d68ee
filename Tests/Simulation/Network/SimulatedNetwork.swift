package import DeP2PIdentity
package import DeP2PReactor
private import Synchronization

/// A network in memory on virtual time: latency, jitter, loss, duplication, reordering and MTU, replayed from a seed.
///
/// It is also the clock of everything that runs on it. Time moves only inside ``run(_:)``, and only when nothing is
/// left to do at the present instant, so an hour passes in as long as its events take to compute.
@NetworkActor
package final class SimulatedNetwork: NetworkClock {
    /// How datagrams fare between two addresses.
    package struct Link: Sendable {
        /// One way.
        package var latency: Duration = .milliseconds(20)
        /// Added uniformly from zero to this.
        package var jitter: Duration = .zero
        /// Probabilities, 0 to 1.
        package var loss = 0.0
        package var duplication = 0.0
        /// The probability of being delayed by another ``latency``, and so overtaken.
        package var reordering = 0.0
        /// The largest UDP payload that passes.
        package var mtu = 1_472
        /// Bits per second each way; `nil` is unlimited. A full queue of ``queue`` drops.
        package var bandwidth: Double?
        package var queue: Duration = .milliseconds(100)

        package init() {}
    }

    private struct Packet {
        let bytes: [UInt8]
        let from: SocketAddress
        let to: SocketAddress
        let ecn: UInt8
    }

    /// What becomes of one datagram.
    package enum Event: Sendable {
        case sent
        /// By the network, or at a NAT or where nobody listens.
        case lost
        case arrived
    }

    package private(set) var now = NetworkInstant(nanoseconds: 1_000_000_000) {
        didSet { moment.store(now.nanoseconds, ordering: .releasing) }
    }
    /// ``now`` for those who are not on the network thread.
    private nonisolated let moment = Atomic<UInt64>(1_000_000_000)
    package var link = Link()
    /// Overrides ``link`` for datagrams from the first address to the second.
    package var links: [Route: Link] = [:]
    /// Sees each datagram before it travels; `false` drops it.
    package var filter: (@NetworkActor (_ bytes: [UInt8], _ from: SocketAddress, _ to: SocketAddress) -> Bool)?
    /// Sees each datagram before it travels, and may change its bytes: a node on the way that tampers.
    package var tamper: (@NetworkActor (_ bytes: inout [UInt8], _ from: SocketAddress, _ to: SocketAddress) -> Void)?
    /// NATs: what their hosts send to the world appears at their external addresses.
    package private(set) var gateways: [SimulatedGateway] = []
    /// Hears of each datagram.
    package var onEvent:
        (@NetworkActor (_ event: Event, _ from: SocketAddress, _ to: SocketAddress, _ count: Int) -> Void)?
    /// Datagrams on their way.
    package private(set) var underWay = 0
    /// When one last set out or arrived.
    package private(set) var lastTravel = NetworkInstant(nanoseconds: 0)
    package private(set) var delivered: UInt64 = 0
    package private(set) var lost: UInt64 = 0

    private var random: SplitMix64
    private var timers = TimerQueue<@NetworkActor () -> Void>()
    private var drivers: [SocketAddress: SimulatedDriver] = [:]
    /// By their groups.
    private var members: [IPAddress: [SimulatedDriver]] = [:]
    private var busyUntil: [Route: NetworkInstant] = [:]
    private var running = 0
    /// What ends first on other threads would be chance.
    package let worksInline = true

    package struct Route: Hashable, Sendable {
        let from: IPAddress
        let to: IPAddress

        package init(from: IPAddress, to: IPAddress) {
            self.from = from
            self.to = to
        }
    }

    init(seed: UInt64) { random = SplitMix64(seed: seed) }

    /// ``now`` for those who are not on the network thread.
    package nonisolated var present: NetworkInstant { NetworkInstant(nanoseconds: moment.load(ordering: .acquiring)) }

    /// Whether a socket is at that address.
    package func isTaken(_ address: SocketAddress) -> Bool { drivers[address] != nil }

    /// A host's socket at `address`.
    package func makeDriver(address: SocketAddress) -> SimulatedDriver {
        let driver = SimulatedDriver(network: self, address: address)
        drivers[address] = driver
        return driver
    }

    package func add(_ gateway: SimulatedGateway) { gateways.append(gateway) }

    /// A host's socket in a multicast group; others of the host may have the same address.
    package func makeMember(of group: IPAddress, at address: SocketAddress) -> SimulatedDriver {
        let driver = makeDriver(address: address)
        members[group, default: []].append(driver)
        return driver
    }

    func remove(_ driver: SimulatedDriver) {
        if drivers[driver.address] === driver { drivers[driver.address] = nil }
        for group in members.keys { members[group]?.removeAll { $0 === driver } }
    }

    /// Runs `body`, moving virtual time whenever it and everything else on the network thread waits.
    package func run<Result: Sendable>(_ body: @NetworkActor @Sendable () async throws -> Result) async rethrows
        -> Result
    {
        running += 1
        if running == 1 { NetworkActor.add(self) }
        defer {
            running -= 1
            if running == 0 { NetworkActor.remove(self) }
        }
        return try await withTaskExecutorPreference(NetworkActor.taskExecutor) { try await body() }
    }

    package func schedule(at deadline: NetworkInstant, _ action: @escaping @NetworkActor () -> Void) -> TimerToken {
        timers.insert(action, at: deadline)
    }

    package func cancel(_ token: TimerToken) { timers.remove(token) }

    /// Every machine stands still for so long, as one does that is suspended: what comes due meanwhile, and what is on its
    /// way, waits until after it.
    package func standStill(for duration: Duration) { now = now.advanced(by: duration) }

    // MARK: Travel

    package func send(_ bytes: [UInt8], from inside: SocketAddress, to: SocketAddress, ecn: UInt8) {
        lastTravel = now
        onEvent?(.sent, inside, to, bytes.count)
        if to.ip.isMulticast { return multicast(bytes, from: inside, to: to) }
        guard let from = translated(inside, to: to) else { return lose(inside, to, bytes.count) }
        let route = Route(from: from.ip, to: to.ip)
        let link = links[route] ?? link
        if let filter, !filter(bytes, from, to) { return lose(from, to, bytes.count) }
        var bytes = bytes
        tamper?(&bytes, from, to)
        guard bytes.count <= link.mtu, random.unit() >= link.loss, let delay = queueing(bytes.count, route, link) else {
            return lose(from, to, bytes.count)
        }
        deliver(Packet(bytes: bytes, from: from, to: to, ecn: ecn), after: delay + travelTime(link))
        if random.unit() < link.duplication {
            deliver(Packet(bytes: bytes, from: from, to: to, ecn: ecn), after: delay + travelTime(link))
        }
    }

    /// To the members on the sender's subnet, itself too if it is one.
    private func multicast(_ bytes: [UInt8], from: SocketAddress, to: SocketAddress) {
        let length = from.ip.family == .v4 ? 24 : 64
        for member in members[to.ip] ?? []
        where member.address.port == to.port && member.address.ip.prefix(length) == from.ip.prefix(length) {
            guard bytes.count <= link.mtu, random.unit() >= link.loss else {
                lose(from, member.address, bytes.count)
                continue
            }
            underWay += 1
            let arrival = now.advanced(by: travelTime(link))
            _ = timers.insert(
                { [weak self, weak member] in
                    self?.arrive(Packet(bytes: bytes, from: from, to: to, ecn: 0), at: member)
                }, at: arrival)
        }
    }

    private func arrive(_ packet: Packet, at member: SimulatedDriver?) {
        underWay -= 1
        lastTravel = now
        delivered += 1
        onEvent?(.arrived, packet.from, member?.address ?? packet.to, packet.bytes.count)
        member?.arrive(packet.bytes, from: packet.from, ecn: packet.ecn)
    }

    private func lose(_ from: SocketAddress, _ to: SocketAddress, _ count: Int) {
        lost += 1
        onEvent?(.lost, from, to, count)
    }

    private func travelTime(_ link: Link) -> Duration {
        var time = link.latency
        if link.jitter > .zero { time += link.jitter * random.unit() }
        if link.reordering > 0, random.unit() < link.reordering { time += link.latency }
        return time
    }

    private func queueing(_ count: Int, _ route: Route, _ link: Link) -> Duration? {
        guard let bandwidth = link.bandwidth else { return .zero }
        let start = max(busyUntil[route] ?? now, now)
        let wait = start.duration(since: now)
        guard wait <= link.queue else { return nil }
        let finish = start.advanced(by: .seconds(Double(count * 8) / bandwidth))
        busyUntil[route] = finish
        return finish.duration(since: now)
    }

    private func deliver(_ packet: Packet, after delay: Duration) {
        underWay += 1
        _ = timers.insert({ [weak self] in self?.arrive(packet) }, at: now.advanced(by: delay))
    }

    /// The source of a datagram as it leaves its subnet; `nil` when it cannot.
    private func translated(_ from: SocketAddress, to: SocketAddress) -> SocketAddress? {
        let gateway = gateways.first { $0.isInside(from.ip) }
        guard gateway?.isInside(to.ip) != true else { return from }
        // Private addresses mean nothing elsewhere.
        guard !gateways.contains(where: { $0.isInside(to.ip) }) else { return nil }
        guard let gateway else { return from }
        return gateway.outbound(from, to: to)
    }

    private func arrive(_ packet: Packet) {
        underWay -= 1
        lastTravel = now
        var to = packet.to
        if let gateway = gateways.first(where: { $0.external == to.ip }) {
            guard let inside = gateway.inbound(to, from: packet.from) else {
                return lose(packet.from, to, packet.bytes.count)
            }
            to = inside
        }
        guard let driver = drivers[to] else { return lose(packet.from, to, packet.bytes.count) }
        delivered += 1
        onEvent?(.arrived, packet.from, to, packet.bytes.count)
        driver.arrive(packet.bytes, from: packet.from, ecn: packet.ecn)
    }
}

extension SimulatedNetwork: Simulation {
    package var wantsToAdvance: Bool { running > 0 && timers.count > 0 }

    /// Moves to the next instant at which something happens, and lets all of it happen.
    package func advance() {
        guard let next = timers.earliest() else { return }
        if next > now { now = next }
        while let action = timers.popDue(at: now) { action() }
    }
}
