import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport

@testable import DeP2PReach

/// A client's two sockets behind a NAT, observers in front of it, and time: what `NATCheckStateMachine` is run against.
///
/// Observers answer with the real responder. 10 ms each way.
struct NATCheckBench {
    typealias Rule = SimulatedNAT.Rule
    typealias Ports = SimulatedNAT.Ports

    struct Observer {
        let address: SocketAddress
        /// With one, it is a server with sockets at all four combinations (RFC 5780).
        var alternate: SocketAddress?
        /// With one, it is a dep2p node, whose second socket has that port.
        var secondPort: UInt16?
        var isSilent = false
        /// Nothing goes out of its second port, nor comes in there.
        var hasDeadPort = false
        /// Answers as if RESPONSE-PORT and CHANGE-REQUEST were not there.
        var ignoresRequests = false
        /// The largest request that it answers, bytes.
        var largest = Int.max
        /// What it answers instead.
        var lie: Lie?
    }

    enum Lie {
        case garbage, error
        case address(SocketAddress)
        case ports
    }

    private struct Arrival {
        let time: NetworkInstant
        let bytes: [UInt8]
        let source: SocketAddress
        let destination: SocketAddress
    }

    static let external = v4(203, 0, 113, 50, 0).ip
    static let first = v4(192, 168, 1, 10, 50_000)
    static let second = v4(192, 168, 1, 10, 50_001)

    var observers: [Observer]
    /// On what a mapping depends; `nil` is no translation.
    var mapping: Rule?
    var filtering: Rule
    var ports = Ports.preserving
    var hairpins = false
    var maximumPacket = 1500
    /// Drops each packet with this chance.
    var loss = 0.0
    /// Packets let out in the same millisecond.
    var packetsAtOnce = Int.max
    var scope = NATCheck.Scope.everything

    private var nat = SimulatedNAT(external: Self.external, mapping: .nothing, filtering: .nothing)
    private var queue: [Arrival] = []
    private var random = SplitMix64(seed: 3)
    private var moment: (time: NetworkInstant, packets: Int) = (.milliseconds(0), 0)

    init(_ observers: [Observer], mapping: Rule?, filtering: Rule) {
        (self.observers, self.mapping, self.filtering) = (observers, mapping, filtering)
    }

    /// Runs the check to its end; returns what it found and how long it took.
    mutating func run(seed: UInt64 = 1) -> (report: NATFamilyReport, elapsed: Duration) {
        var now = NetworkInstant.milliseconds(0)
        random = SplitMix64(seed: seed)
        queue = []
        // Without translation it is a firewall: a NAT whose external address is the client's own.
        nat = SimulatedNAT(
            external: mapping == nil ? Self.first.ip : Self.external, mapping: mapping ?? .nothing,
            filtering: filtering, ports: mapping == nil ? .preserving : ports, hairpins: hairpins, seed: seed)
        var machine = NATCheckStateMachine(
            observers: observers.map(\.address), first: Self.first, second: Self.second, scope: scope,
            random: SplitMix64(seed: seed))
        transmit(machine.start(now: now), now: now)
        while !machine.isFinished {
            let arrival = queue.min { $0.time < $1.time }
            guard let next = [arrival?.time, machine.wake].compactMap(\.self).min() else { break }
            now = next
            guard let arrival, arrival.time == next else {
                transmit(machine.timerFired(now: now), now: now)
                continue
            }
            queue.removeAll { $0.time == arrival.time && $0.bytes == arrival.bytes && $0.source == arrival.source }
            if let socket = [Self.first: NATCheckStateMachine.Socket.first, Self.second: .second][arrival.destination] {
                transmit(machine.handle(arrival.bytes, on: socket, from: arrival.source, now: now), now: now)
            }
        }
        return (machine.report, now.duration(since: .milliseconds(0)))
    }

    private mutating func transmit(_ datagrams: [NATCheckStateMachine.Transmission], now: NetworkInstant) {
        for datagram in datagrams where datagram.bytes.count + 28 <= maximumPacket && !isLost() && passes(now) {
            let local = datagram.socket == .first ? Self.first : Self.second
            let source = nat.outbound(local, to: datagram.destination)
            if datagram.destination.ip == nat.external {
                deliver(datagram.bytes, from: source, to: datagram.destination, at: now)
            } else {
                answer(datagram.bytes, from: source, to: datagram.destination, now: now)
            }
        }
    }

    private mutating func answer(
        _ bytes: [UInt8], from source: SocketAddress, to destination: SocketAddress, now: NetworkInstant
    ) {
        guard let observer = observers.first(where: { $0.corners.contains(destination) && !$0.isSilent }),
            bytes.count <= observer.largest
        else {
            return
        }
        var responder = STUNResponder(
            alternate: observer.corners.first { $0.ip != destination.ip && $0.port != destination.port })
        var request = bytes
        if observer.ignoresRequests, var message = try? STUNMessage(bytes) {
            message.attributes.removeAll { [0x0003, 0x0027].contains($0.type) }
            request = message.bytes
        }
        let otherPort = observer.secondPort.map { destination.port == $0 ? observer.address.port : $0 }
        if let lie = observer.lie, let message = try? STUNMessage(bytes) {
            return deliver(
                lie.bytes(to: message, from: source), from: destination, to: source,
                at: now.advanced(by: .milliseconds(20)))
        }
        let answer = responder.respond(
            to: request, from: source, on: destination, alternatePort: otherPort, now: now)
        guard let response = answer, !isLost() else { return }
        let other = observer.alternate ?? otherPort.map { SocketAddress(destination.ip, port: $0) } ?? destination
        let from = SocketAddress(
            response.origin.changesAddress
                ? (other.ip == destination.ip ? observer.address.ip : other.ip) : destination.ip,
            port: response.origin.changesPort
                ? (other.port == destination.port ? observer.address.port : other.port) : destination.port)
        guard response.destination.ip == nat.external, !(observer.hasDeadPort && from.port != observer.address.port)
        else {
            return
        }
        deliver(response.bytes, from: from, to: response.destination, at: now.advanced(by: .milliseconds(20)))
    }

    private mutating func deliver(
        _ bytes: [UInt8], from source: SocketAddress, to external: SocketAddress, at time: NetworkInstant
    ) {
        guard let owner = nat.inbound(external.port, from: source) else { return }
        queue.append(Arrival(time: time, bytes: bytes, source: source, destination: owner))
    }

    private mutating func passes(_ now: NetworkInstant) -> Bool {
        moment = moment.time == now ? (now, moment.packets + 1) : (now, 1)
        return moment.packets <= packetsAtOnce
    }

    private mutating func isLost() -> Bool { Double.random(in: 0..<1, using: &random) < loss }
}

extension NATCheckBench.Lie {
    func bytes(to request: STUNMessage, from source: SocketAddress) -> [UInt8] {
        switch self {
        case .garbage: return Array("HTTP/1.1 400 Bad Request".utf8)
        case .error:
            return STUNMessage(
                .failure, transaction: request.transaction, attributes: [.errorCode(400, reason: "Bad Request")]
            ).bytes
        case .address(let address):
            return STUNMessage(
                .success, transaction: request.transaction, attributes: [.xorMappedAddress(address)]
            ).bytes
        case .ports:
            let other = SocketAddress(source.ip, port: source.port &+ 1)
            return STUNMessage(
                .success, transaction: request.transaction, attributes: [.xorMappedAddress(other)]
            ).bytes
        }
    }
}

extension NATCheckBench.Observer {
    /// The addresses of its sockets.
    var corners: [SocketAddress] {
        guard let alternate else {
            return [address] + (secondPort.map { [SocketAddress(address.ip, port: $0)] } ?? [])
        }
        return [
            address, alternate, SocketAddress(address.ip, port: alternate.port),
            SocketAddress(alternate.ip, port: address.port),
        ]
    }
}
