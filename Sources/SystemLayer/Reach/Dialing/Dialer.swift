internal import DeP2PIdentity
internal import DeP2PQUIC
package import DeP2PReactor
package import DeP2PSessions
internal import Glibc

/// A connection through a relay.
struct RelayedConnection {
    let connection: any SecureConnection
    /// The address of the relay that was used.
    let relay: Address?
    /// What it took to connect to the relay; empty when that had been done before.
    let attempts: [ConnectAttempt]
}

/// Makes a connection to a node through the relay at the addresses.
typealias RelayDial = @NetworkActor @Sendable (_ relay: [Address], _ target: NodeID) async throws -> RelayedConnection

/// The connection pipeline: resolves names, races the addresses of both families and relays, records every attempt.
@NetworkActor
package final class Dialer: Dialling {
    /// How paths through relays are made; `nil` leaves them out.
    var relayDial: RelayDial?
    /// Where UDP is known to be blocked.
    package let udp: UDPMemory
    private let transport: any Transport
    private let clock: any NetworkClock
    private let limits: ConnectionLimits
    private let resolver: NameResolver

    package convenience init(transport: any Transport, clock: any NetworkClock, limits: ConnectionLimits) {
        self.init(transport: transport, clock: clock, limits: limits, resolver: nil, udp: UDPMemory())
    }

    init(
        transport: any Transport, clock: any NetworkClock, limits: ConnectionLimits, resolver: NameResolver?,
        udp: UDPMemory = UDPMemory()
    ) {
        self.udp = udp
        self.transport = transport
        self.clock = clock
        self.limits = limits
        self.resolver = resolver ?? NameResolver(clock: clock, deadline: limits.resolveDeadline)
    }

    package func dial(
        _ target: DialTarget, deadline: Duration
    ) async throws -> (connection: any SecureConnection, attempts: [ConnectAttempt]) {
        // Only what can go over TCP asks what is known of UDP: it takes a look at the machine's routes.
        let expectation = target.addresses.contains(where: \.isOverTCP) ? await udp.expectation() : .works
        let race = DialRace(
            target, transport: transport, relayDial: relayDial, clock: clock, limits: limits, resolver: resolver,
            udp: (udp, expectation))
        return try await race.run(deadline: deadline)
    }
}

/// One run of the pipeline: carries out what ``DialMachine`` decides.
@NetworkActor
private final class DialRace {
    private let target: DialTarget
    private let transport: any Transport
    private let relayDial: RelayDial?
    private let clock: any NetworkClock
    private let limits: ConnectionLimits
    private let resolver: NameResolver
    private let udp: UDPMemory
    private var machine: DialMachine
    private let result = Waiter<any SecureConnection>()
    private var tasks: [Int: Task<Void, Never>] = [:]
    private var connections: [Int: any SecureConnection] = [:]
    private var resolutions: [Task<Void, Never>] = []
    private var wake: TimerToken?

    init(
        _ target: DialTarget, transport: any Transport, relayDial: RelayDial?, clock: any NetworkClock,
        limits: ConnectionLimits, resolver: NameResolver,
        udp: (memory: UDPMemory, expectation: UDPExpectation)
    ) {
        self.udp = udp.memory
        self.target = target
        self.transport = transport
        self.relayDial = relayDial
        self.clock = clock
        self.limits = limits
        self.resolver = resolver
        machine = DialMachine(
            startedAt: clock.now, candidateLimit: limits.candidates, udp: udp.expectation)
    }

    func run(deadline: Duration?) async throws -> (any SecureConnection, [ConnectAttempt]) {
        let timer = deadline.map { duration in
            clock.schedule(after: duration) { [self] in abandon(.timeout, "no answer within \(duration)") }
        }
        defer {
            timer.map(clock.cancel)
            wake.map(clock.cancel)
            resolutions.forEach { $0.cancel() }
        }
        start()
        do {
            return (try await result.value(), machine.records)
        } catch is CancellationError {
            abandon(.superseded, "the connect was cancelled")
            throw ConnectError(
                .cancelled, nodeID: target.nodeID, reason: "the connect was cancelled", hint: "",
                attempts: machine.records)
        }
    }

    private func start() {
        var pending = 0
        var relays = RelayWays()
        var candidates: [DialMachine.Candidate] = []
        for address in target.addresses.prefix(limits.candidates) {
            do throws(TransportFailure) {
                switch try plan(address) {
                case .dial(let candidate): candidates.append(candidate)
                case .through(let relay): relays.add(relay)
                case .resolve(let name):
                    pending += 1
                    resolutions.append(
                        networkTask {
                            await self.resolve(name)
                            pending -= 1
                            if pending == 0 { self.carryOut(self.machine.noMoreCandidates(now: self.clock.now)) }
                        })
                }
            } catch {
                machine.note(address.isRelayed ? .relay : .direct, "\(address)", error, now: clock.now)
            }
        }
        candidates += relays.map { ways in
            DialMachine.Candidate(.relay(ways), text: ways.first.map { "\($0)\(circuitSuffix)" } ?? "")
        }
        carryOut(machine.add(candidates, now: clock.now))
        if pending == 0 { carryOut(machine.noMoreCandidates(now: clock.now)) }
    }

    private var circuitSuffix: String { "/p2p-circuit" + (target.nodeID.map { "/p2p/\($0)" } ?? "") }

    private func resolve(_ name: Plan.Name) async {
        do {
            let addresses = try await resolver.addresses(of: name.text, family: name.family)
            let candidates = addresses.map { ip in
                let address = SocketAddress(ip, port: name.port)
                return name.isTCP
                    ? DialMachine.Candidate(.tcp(address), text: "\(name.text) (tcp \(address))")
                    : DialMachine.Candidate(address: address, text: "\(name.text) (\(address))")
            }
            carryOut(machine.add(candidates, now: clock.now))
        } catch {
            let failure = error as? TransportFailure ?? TransportFailure(.superseded, detail: "\(error)")
            machine.note(.resolve, name.text, failure, now: clock.now)
        }
    }

    // MARK: Carrying out

    private func carryOut(_ actions: [DialMachine.Action]) {
        for action in actions {
            switch action {
            case .start(let id, let candidate): attempt(id, candidate)
            case .wake(let instant):
                wake.map(clock.cancel)
                wake = clock.schedule(at: instant) { [self] in carryOut(machine.timerFired(now: clock.now)) }
            case .observedUDP(let works): udp.note(works: works)
            case .connected(let id, let losers):
                for loser in losers { tasks[loser]?.cancel() }
                if let connection = connections.removeValue(forKey: id) { result.resume(returning: connection) }
            case .exhausted:
                result.resume(throwing: ConnectError.summary(of: machine.records, nodeID: target.nodeID))
            }
        }
    }

    private func attempt(_ id: Int, _ candidate: DialMachine.Candidate) {
        tasks[id] = networkTask { [self] in
            let begun = clock.now
            do {
                let made = try await clock.withDeadline(limits.attemptDeadline) { [self] in
                    try await connect(candidate.way)
                }
                guard !Task.isCancelled, !result.isResolved else {
                    return made.connection.close(
                        code: CloseCode.duplicate.rawValue, reason: "another address answered first")
                }
                connections[id] = made.connection
                noteRelayAttempts(made.attempts, begun: begun)
                let address = made.relay.map { "\($0)\(circuitSuffix)" }
                carryOut(machine.attemptSucceeded(id, address: address, now: clock.now))
            } catch {
                if let error = error as? ConnectError { noteRelayAttempts(error.attempts, begun: begun) }
                carryOut(machine.attemptFailed(id, Self.failure(of: error), now: clock.now))
            }
            tasks[id] = nil
        }
    }

    /// The connect to the relay is a part of this one: its attempts show, where there was more than one.
    private func noteRelayAttempts(_ attempts: [ConnectAttempt], begun: NetworkInstant) {
        guard attempts.count > 1 else { return }
        for attempt in attempts { machine.note(attempt, begun: begun) }
    }

    private func connect(_ way: DialMachine.Way) async throws -> RelayedConnection {
        switch way {
        case .direct(let address):
            let connection = try await transport.connect(to: address, expecting: target.nodeID)
            return RelayedConnection(connection: connection, relay: nil, attempts: [])
        case .tcp(let address):
            let connection = try await transport.connect(tcp: address, expecting: target.nodeID)
            return RelayedConnection(connection: connection, relay: nil, attempts: [])
        case .relay(let relay):
            guard let relayDial, let nodeID = target.nodeID else {
                throw TransportFailure(.unsupported, detail: "relays are left out")
            }
            return try await relayDial(relay, nodeID)
        }
    }

    private func abandon(_ outcome: ConnectAttempt.Outcome, _ detail: String) {
        for id in machine.abandon(TransportFailure(outcome, detail: detail), now: clock.now) { tasks[id]?.cancel() }
        result.resume(throwing: ConnectError.summary(of: machine.records, nodeID: target.nodeID))
    }

    private static func failure(of error: any Error) -> TransportFailure {
        switch error {
        case let error as TransportFailure: error
        case let error as QUICError: TransportFailure(error)
        case let error as ConnectError:
            TransportFailure(error.attempts.last?.outcome ?? .unreachable, detail: "the relay: \(error.reason)")
        case let error as DeadlineExceeded: TransportFailure(.timeout, detail: "no answer within \(error.duration)")
        case is CancellationError: TransportFailure(.superseded, detail: "cancelled")
        default: TransportFailure(.handshakeFailed, detail: "\(error)")
        }
    }

    // MARK: Addresses

    private enum Plan {
        struct Name {
            let text: String
            let family: IPAddress.Family?
            let port: UInt16
            let isTCP: Bool
        }

        case dial(DialMachine.Candidate)
        case resolve(Name)
        /// Through the relay at this address.
        case through(Address)
    }

    private func plan(_ address: Address) throws(TransportFailure) -> Plan {
        if address.isRelayed {
            guard let relay = address.relay, target.nodeID != nil, !relay.address.isRelayed else {
                throw TransportFailure(.unsupported, detail: "the address names no relay, or not the node behind it")
            }
            guard relayDial != nil else { throw TransportFailure(.unsupported, detail: "relays are left out") }
            return .through(relay.address)
        }
        let (port, isTCP): (UInt16, Bool)
        switch address.transport {
        case .quic(let number): (port, isTCP) = (number, false)
        case .tcpTLS(let number): (port, isTCP) = (number, true)
        case nil: (port, isTCP) = (0, false)
        }
        guard port != 0 else {
            throw TransportFailure(.unsupported, detail: "only /udp/PORT/quic-v1 and /tcp/PORT/tls can be dialled")
        }
        switch address.host {
        case .ip(let ip):
            if !AddressRule.isHost(ip) {
                throw TransportFailure(.unsupported, detail: "\(ip) is not the address of a host")
            }
            let scope = try Self.scope(of: address, ip)
            let socket = SocketAddress(ip, port: port, scope: scope)
            return .dial(DialMachine.Candidate(isTCP ? .tcp(socket) : .direct(socket), text: "\(address)"))
        case .dns(_, .dnsaddr):
            throw TransportFailure(.unsupported, detail: "dnsaddr names are not looked up: give the address behind it")
        case .dns(let name, let kind):
            let family: IPAddress.Family? = kind == .dns4 ? .v4 : kind == .dns6 ? .v6 : nil
            return .resolve(Plan.Name(text: name, family: family, port: port, isTCP: isTCP))
        case nil: throw TransportFailure(.unsupported, detail: "the address names no host")
        }
    }

    /// The interface that the address names (RFC 4007 section 11); 0 for none.
    private static func scope(of address: Address, _ ip: IPAddress) throws(TransportFailure) -> UInt32 {
        guard let zone = address.zone else {
            guard ip.family == .v6, ip.isLinkLocal else { return 0 }
            throw TransportFailure(
                .unreachable, detail: "a link-local address needs its interface: [\(ip)%INTERFACE]:PORT")
        }
        guard let index = NetworkInterface.index(of: zone) else {
            throw TransportFailure(.unreachable, detail: "this machine has no interface \(zone)")
        }
        return index
    }
}
