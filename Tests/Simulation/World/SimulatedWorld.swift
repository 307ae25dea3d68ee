package import DeP2P
package import DeP2PIdentity
package import DeP2PReactor
internal import DeP2PSessions
internal import Synchronization

/// A world in memory: machines with their networks, names, disks and clocks, and whatever runs on them, from one seed.
///
/// The same seed gives the same run: each event at the same instant, in the same order. What is not the same are the bytes
/// that GnuTLS draws for a handshake (it takes no other source), and what is encrypted with them; their lengths are.
///
/// There are two forms of node. A whole one, ``node(_:on:)``, speaks QUIC over ``network``. A light one, ``lightNode(at:)``,
/// has connections without packets and keys, but for the same protocols, which costs some hundredth.
///
/// Calling order: make machines, then run everything inside ``run(_:)``; time passes there alone. Worlds that run at once
/// wait for each other: their events are as before, what they take is not.
@NetworkActor
package final class SimulatedWorld {
    /// 2026-01-01 00:00 UTC, when virtual time begins.
    nonisolated static let beginning: UInt64 = 1_767_225_600_000

    /// A world that is driven to idleness and does not get there.
    package struct NeverIdle: Error, CustomStringConvertible {
        package let description: String
    }

    package nonisolated let seed: UInt64
    /// The time of everything, and the way of every datagram.
    package nonisolated let network: SimulatedNetwork
    package let trace: EventTrace
    package nonisolated let names = SimulatedNames()
    /// How light nodes reach each other.
    package let light: LightNetwork
    private var random: SplitMix64
    private var machineCount: UInt32 = 0

    /// - Parameters:
    ///   - latency: of links that have none of their own, one way. Without any, what light nodes send has arrived at once,
    ///     and only what has deadlines needs ``run(_:)``.
    ///   - keepsTrace: whether every datagram and event is written down.
    package init(seed: UInt64, latency: Duration = SimulatedNetwork.Link().latency, keepsTrace: Bool = false) {
        self.seed = seed
        var random = SplitMix64(seed: seed)
        network = SimulatedNetwork(seed: random.next())
        network.link.latency = latency
        light = LightNetwork(network, random: RandomSource(replaying: SplitMix64(seed: random.next())))
        trace = EventTrace(clock: network)
        self.random = random
        guard keepsTrace else { return }
        network.onEvent = { [trace] event, from, to, count in trace.note("\(event) \(from) \(to) \(count)") }
        light.onEvent = { [trace] in trace.note($0) }
    }

    /// Another source of random numbers of this world's.
    package func randomSource() -> RandomSource { RandomSource(replaying: SplitMix64(seed: random.next())) }

    /// Runs `body`, moving virtual time whenever everything waits.
    package func run<Result: Sendable>(_ body: @NetworkActor @Sendable () async throws -> Result) async rethrows
        -> Result
    { try await network.run(body) }

    // MARK: Machines

    /// A machine with one interface.
    ///
    /// - Parameters:
    ///   - ip: each machine gets another subnet unless given.
    ///   - gateway: the NAT that it stands behind, which is added to the network with its first machine.
    package func machine(at ip: IPAddress? = nil, behind gateway: SimulatedGateway? = nil) -> SimulatedMachine {
        machineCount += 1
        if let gateway, !network.gateways.contains(where: { $0 === gateway }) { network.add(gateway) }
        let inside = gateway.map { IPAddress(v4: UInt32(truncatingIfNeeded: $0.inside.low) + 10 + machineCount) }
        let own = ip ?? inside ?? IPAddress(v4: 0x2d00_0001 + machineCount << 8)
        return SimulatedMachine(number: machineCount, ip: own, in: self, random: randomSource())
    }

    /// A whole node on a machine; without an identity in `configuration` it draws one.
    package func node(
        _ configuration: NodeConfiguration = NodeConfiguration(), on machine: SimulatedMachine
    ) throws -> Node {
        let node = try Node(configuration, in: machine.environment)
        trace.follow(node, as: "node\(machine.number)")
        return node
    }

    // MARK: Waiting

    /// Waits in virtual time until `condition` holds.
    ///
    /// - Returns: whether it does.
    package func wait(atMost duration: Duration, until condition: @NetworkActor () -> Bool) async throws -> Bool {
        let deadline = network.now.advanced(by: duration)
        while !condition() {
            guard network.now < deadline else { return false }
            try await network.sleep(for: .milliseconds(10))
        }
        return true
    }

    /// Lets time pass until nothing has been under way for `quiet`: no datagram, and nothing between light nodes.
    ///
    /// - Returns: how long it took.
    /// - Throws: ``NeverIdle`` after `limit`; `CancellationError`.
    @discardableResult
    package func driveToIdle(
        quiet: Duration = .milliseconds(500), within limit: Duration = .seconds(60)
    ) async throws -> Duration {
        let start = network.now
        while true {
            let now = network.now
            let last = max(network.lastTravel, light.lastTravel, start)
            let isStill = network.underWay == 0 && light.underWay == 0
            if isStill, now.duration(since: last) >= quiet { return now.duration(since: start) }
            guard now.duration(since: start) < limit else {
                throw NeverIdle(
                    description: "after \(limit) \(network.underWay + light.underWay) messages are under way")
            }
            try await network.sleep(for: isStill ? quiet - now.duration(since: last) : .milliseconds(10))
        }
    }
}

extension SimulatedWorld {
    /// Milliseconds since 1970, from any thread.
    package nonisolated var wallClock: @Sendable () -> UInt64 {
        { [network] in Self.beginning + network.present.nanoseconds / 1_000_000 }
    }
}

/// The names of a world.
package final class SimulatedNames: Sendable {
    private let known = Mutex<[String: [IPAddress]]>([:])
    private let records = Mutex<[String: [String]]>([:])

    package subscript(name: String) -> [IPAddress] {
        get { known.withLock { $0[name] ?? [] } }
        set { known.withLock { $0[name] = newValue } }
    }

    /// The text records of a name.
    package subscript(texts name: String) -> [String] {
        get { records.withLock { $0[name] ?? [] } }
        set { records.withLock { $0[name] = newValue } }
    }

    func texts(of name: String) -> Result<[[UInt8]], TransportFailure> {
        let all = self[texts: name]
        guard !all.isEmpty else { return .failure(TransportFailure(.nameUnknown, detail: "no such name")) }
        return .success(all.map { Array($0.utf8) })
    }

    func look(up name: String, _ family: IPAddress.Family?) -> Result<[IPAddress], TransportFailure> {
        let all = self[name]
        guard !all.isEmpty else { return .failure(TransportFailure(.nameUnknown, detail: "no such name")) }
        return .success(all.filter { family == nil || $0.family == family })
    }
}
