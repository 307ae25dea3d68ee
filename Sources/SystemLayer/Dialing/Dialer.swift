internal import Glibc
public import Identity
internal import QUIC

/// Who to connect to: a NodeID, addresses, or both.
public struct DialTarget: Hashable, Sendable {
    /// Who must answer; `nil` takes whoever does.
    public let nodeID: NodeID?
    public let addresses: [Address]

    /// An address that ends in `/p2p/ID` names the node, where `nodeID` does not.
    public init(nodeID: NodeID? = nil, addresses: [Address]) {
        self.nodeID = nodeID ?? addresses.lazy.compactMap(\.nodeID).first
        self.addresses = addresses
    }
}

/// Makes a connection to a node through the relay at an address.
typealias RelayDial = @NetworkActor @Sendable (_ relay: Address, _ target: NodeID) async throws -> any SecureConnection

/// The connection pipeline: resolves names, races the addresses of both families and relays, records every attempt.
@NetworkActor
final class Dialer {
    /// How paths through relays are made; `nil` leaves them out.
    var relayDial: RelayDial?
    private let transport: any Transport
    private let clock: any NetworkClock
    private let limits: ConnectionLimits
    private let resolver: NameResolver

    init(transport: any Transport, clock: any NetworkClock, limits: ConnectionLimits, resolver: NameResolver? = nil) {
        self.transport = transport
        self.clock = clock
        self.limits = limits
        self.resolver = resolver ?? NameResolver(clock: clock, deadline: limits.resolveDeadline)
    }

    /// - Throws: ``ConnectError`` with every attempt.
    func dial(
        _ target: DialTarget, deadline: Duration?
    ) async throws -> (connection: any SecureConnection, attempts: [ConnectAttempt]) {
        let race = DialRace(
            target, transport: transport, relayDial: relayDial, clock: clock, limits: limits, resolver: resolver)
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
    private var machine: DialMachine
    private let result = Waiter<any SecureConnection>()
    private var tasks: [Int: Task<Void, Never>] = [:]
    private var connections: [Int: any SecureConnection] = [:]
    private var resolutions: [Task<Void, Never>] = []
    private var wake: TimerToken?

    init(
        _ target: DialTarget, transport: any Transport, relayDial: RelayDial?, clock: any NetworkClock,
        limits: ConnectionLimits, resolver: NameResolver
    ) {
        self.target = target
        self.transport = transport
        self.relayDial = relayDial
        self.clock = clock
        self.limits = limits
        self.resolver = resolver
        machine = DialMachine(startedAt: clock.now, candidateLimit: limits.candidates)
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
        for address in target.addresses.prefix(limits.candidates) {
            do throws(TransportFailure) {
                switch try plan(address) {
                case .dial(let candidate): carryOut(machine.add([candidate], now: clock.now))
                case .resolve(let name, let family, let port):
                    pending += 1
                    resolutions.append(
                        networkTask {
                            await self.resolve(name, family: family, port: port)
                            pending -= 1
                            if pending == 0 { self.carryOut(self.machine.noMoreCandidates(now: self.clock.now)) }
                        })
                }
            } catch {
                machine.note(address.isRelayed ? .relay : .direct, "\(address)", error, now: clock.now)
            }
        }
        if pending == 0 { carryOut(machine.noMoreCandidates(now: clock.now)) }
    }

    private func resolve(_ name: String, family: IPAddress.Family?, port: UInt16) async {
        do {
            let addresses = try await resolver.addresses(of: name, family: family)
            let candidates = addresses.map { ip in
                let address = SocketAddress(ip, port: port)
                return DialMachine.Candidate(address: address, text: "\(name) (\(address))")
            }
            carryOut(machine.add(candidates, now: clock.now))
        } catch {
            let failure = error as? TransportFailure ?? TransportFailure(.superseded, detail: "\(error)")
            machine.note(.resolve, name, failure, now: clock.now)
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
            do {
                let connection = try await clock.withDeadline(limits.attemptDeadline) { [self] in
                    try await connect(candidate.way)
                }
                guard !Task.isCancelled, !result.isResolved else {
                    return connection.close(
                        code: CloseCode.duplicate.rawValue, reason: "another address answered first")
                }
                connections[id] = connection
                carryOut(machine.attemptSucceeded(id, now: clock.now))
            } catch {
                carryOut(machine.attemptFailed(id, Self.failure(of: error), now: clock.now))
            }
            tasks[id] = nil
        }
    }

    private func connect(_ way: DialMachine.Way) async throws -> any SecureConnection {
        switch way {
        case .direct(let address): return try await transport.connect(to: address, expecting: target.nodeID)
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
        case let error as RelayError: TransportFailure(.relayRefused, detail: error.description)
        case let error as ConnectError:
            TransportFailure(error.attempts.last?.outcome ?? .unreachable, detail: "the relay: \(error.reason)")
        case let error as DeadlineExceeded: TransportFailure(.timeout, detail: "no answer within \(error.duration)")
        case is CancellationError: TransportFailure(.superseded, detail: "cancelled")
        default: TransportFailure(.handshakeFailed, detail: "\(error)")
        }
    }

    // MARK: Addresses

    private enum Plan {
        case dial(DialMachine.Candidate)
        case resolve(String, IPAddress.Family?, port: UInt16)
    }

    private func plan(_ address: Address) throws(TransportFailure) -> Plan {
        if address.isRelayed {
            guard let relay = address.relay, target.nodeID != nil, !relay.address.isRelayed else {
                throw TransportFailure(.unsupported, detail: "the address names no relay, or not the node behind it")
            }
            guard relayDial != nil else { throw TransportFailure(.unsupported, detail: "relays are left out") }
            return .dial(DialMachine.Candidate(.relay(relay.address), text: "\(address)"))
        }
        guard case .quic(let port)? = address.transport, port != 0 else {
            throw TransportFailure(.unsupported, detail: "only /udp/PORT/quic-v1 can be dialled")
        }
        switch address.host {
        case .ip(let ip):
            if ip.isUnspecified || ip.isMulticast {
                throw TransportFailure(.unsupported, detail: "\(ip) is not the address of a host")
            }
            let scope = address.zone.map { UInt32($0) ?? if_nametoindex($0) } ?? 0
            return .dial(
                DialMachine.Candidate(address: SocketAddress(ip, port: port, scope: scope), text: "\(address)"))
        case .dns(let name, .dns): return .resolve(name, nil, port: port)
        case .dns(let name, .dns4): return .resolve(name, .v4, port: port)
        case .dns(let name, .dns6): return .resolve(name, .v6, port: port)
        case .dns(_, .dnsaddr):
            throw TransportFailure(.unsupported, detail: "dnsaddr names are not looked up: give the address behind it")
        case nil: throw TransportFailure(.unsupported, detail: "the address names no host")
        }
    }
}
