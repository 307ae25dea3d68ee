internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor
internal import DeP2PSessions

/// One run of the pipeline: carries out what ``DialMachine`` decides.
@NetworkActor
final class DialRace: Dial {
    private let nodeID: NodeID?
    private let dialer: Dialer
    private let driver: MachineDriver<DialMachine>
    private let result = Waiter<any SecureConnection>()
    private var tasks: [Int: Task<Void, Never>] = [:]
    private var connections: [Int: any SecureConnection] = [:]
    /// Names being resolved, and addresses that wait for what is known of UDP.
    private var preparations: [Task<Void, Never>] = []
    private var preparationsUnderWay = 0
    private var isExpectationKnown = false
    private var moreExpected = true
    private var names = DNSAddressBudget()

    init(_ nodeID: NodeID?, of dialer: Dialer) {
        self.nodeID = nodeID
        self.dialer = dialer
        driver = MachineDriver(
            DialMachine(startedAt: dialer.clock.now, candidateLimit: dialer.limits.candidates), clock: dialer.clock)
        driver.carryOut = { [weak self] in self?.carryOut($0) }
    }

    private var machine: DialMachine { driver.machine }

    private var clock: any NetworkClock { dialer.clock }

    // MARK: Dial

    func value() async throws -> (connection: any SecureConnection, attempts: [ConnectAttempt]) {
        defer {
            driver.stop()
            preparations.forEach { $0.cancel() }
        }
        do {
            return (try await result.value(), machine.records)
        } catch is CancellationError {
            let failure = TransportFailure(.superseded, detail: "the connect was cancelled")
            driver.note { machine, now in
                for id in machine.abandon(failure, now: now) { tasks[id]?.cancel() }
            }
            throw ConnectError(
                .cancelled, nodeID: nodeID, reason: "the connect was cancelled", remedy: nil, attempts: machine.records)
        }
    }

    func error(givenUp failure: TransportFailure) -> ConnectError {
        var copy = machine
        _ = copy.abandon(failure, now: clock.now)
        return ConnectError.summary(of: copy.records, nodeID: nodeID)
    }

    func add(_ addresses: [Address], for asker: Int) -> Bool {
        guard !machine.isDone else { return false }
        let addresses = Array(addresses.prefix(dialer.limits.candidates))
        guard !isExpectationKnown, addresses.contains(where: \.isOverTCP) else {
            take(addresses, for: asker)
            return true
        }
        // Only what can go over TCP asks what is known of UDP: it takes a look at the machine's routes.
        prepare { [self] in
            let expectation = await dialer.udp.expectation()
            if !isExpectationKnown { driver.note { machine, _ in machine.expect(expectation) } }
            isExpectationKnown = true
            take(addresses, for: asker)
        }
        return true
    }

    func noMoreCandidates() {
        moreExpected = false
        lookWhetherAllCame()
    }

    func moreCandidates() {
        moreExpected = true
        driver.note { machine, _ in machine.moreCandidates() }
    }

    // MARK: Addresses

    /// The dial waits for what `body` adds.
    private func prepare(_ body: @escaping @NetworkActor @Sendable () async -> Void) {
        preparationsUnderWay += 1
        driver.note { machine, _ in machine.moreCandidates() }
        preparations.append(
            networkTask { [self] in
                await body()
                preparationsUnderWay -= 1
                lookWhetherAllCame()
            })
    }

    private func lookWhetherAllCame() {
        guard !moreExpected, preparationsUnderWay == 0 else { return }
        driver.handle { $0.noMoreCandidates(now: $1) }
    }

    /// - Parameter depth: names that led here.
    private func take(_ addresses: [Address], for asker: Int, depth: Int = 0) {
        var relays = RelayWays()
        var candidates: [DialMachine.Candidate] = []
        for address in addresses {
            do throws(TransportFailure) {
                let plan = try DialPlan(
                    address, to: nodeID, usesRelays: dialer.relayDial != nil, zone: dialer.resolver.interface)
                switch plan {
                case .dial(let candidate): candidates.append(candidate)
                case .through(let relay): relays.add(relay)
                case .resolve(let name): prepare { [self] in await resolve(name, for: asker) }
                case .expand(let name): expand(name, for: asker, depth: depth + 1)
                }
            } catch {
                driver.note { $0.note(address.isRelayed ? .relay : .direct, .address(address), error, now: $1) }
            }
        }
        candidates += relays.map { ways in
            DialMachine.Candidate(.relay(ways), ways.first.map { .address($0.circuit(to: nodeID)) } ?? .text(""))
        }
        driver.handle { $0.add(candidates, for: asker, now: $1) }
    }

    private func resolve(_ name: DialPlan.Name, for asker: Int) async {
        do {
            let addresses = try await dialer.resolver.addresses(of: name.text, family: name.family)
            let candidates = addresses.map { ip in
                let address = SocketAddress(ip, port: name.port)
                return name.isTCP
                    ? DialMachine.Candidate(.tcp(address), .text("\(name.text) (tcp \(address))"))
                    : DialMachine.Candidate(.direct(address), .text("\(name.text) (\(address))"))
            }
            driver.handle { $0.add(candidates, for: asker, now: $1) }
        } catch {
            let failure = error as? TransportFailure ?? TransportFailure(.superseded, detail: "\(error)")
            driver.note { $0.note(.resolve, .text(name.text), failure, now: $1) }
        }
    }

    private func expand(_ name: DNSAddress, for asker: Int, depth: Int) {
        if let refusal = names.refusal(of: name, depth: depth) {
            let failure = TransportFailure(.unsupported, detail: refusal)
            return driver.note { $0.note(.resolve, .text(name.recordName), failure, now: $1) }
        }
        prepare { [self] in
            do {
                let texts = try await dialer.resolver.texts(of: name.recordName)
                let addresses = name.addresses(in: texts, of: nodeID)
                guard !addresses.isEmpty else {
                    throw TransportFailure(.nameUnknown, detail: "its text records name no such address")
                }
                take(Array(addresses.prefix(dialer.limits.candidates)), for: asker, depth: depth)
            } catch {
                let failure = error as? TransportFailure ?? TransportFailure(.superseded, detail: "\(error)")
                driver.note { $0.note(.resolve, .text(name.recordName), failure, now: $1) }
            }
        }
    }

    // MARK: Carrying out

    private func carryOut(_ actions: [DialMachine.Action]) {
        for action in actions {
            switch action {
            case .start(let id, let candidate): attempt(id, candidate)
            case .observedUDP(let works): dialer.udp.note(works: works)
            case .connected(let id, let losers):
                for loser in losers { tasks[loser]?.cancel() }
                if let connection = connections.removeValue(forKey: id) { result.resume(returning: connection) }
            case .exhausted:
                result.resume(throwing: ConnectError.summary(of: machine.records, nodeID: nodeID))
            }
        }
    }

    private func attempt(_ id: Int, _ candidate: DialMachine.Candidate) {
        tasks[id] = networkTask { [self] in
            let begun = clock.now
            do {
                let made = try await clock.withDeadline(dialer.limits.attemptDeadline) { [self] in
                    try await connect(candidate.way)
                }
                guard !Task.isCancelled, !result.isResolved else {
                    return made.connection.close(
                        code: CloseCode.duplicate.rawValue, reason: "another address answered first")
                }
                connections[id] = made.connection
                noteRelayAttempts(made.attempts, begun: begun)
                let place = made.relay.map { ConnectAttempt.Place.address($0.circuit(to: nodeID)) }
                driver.handle { $0.attemptSucceeded(id, place: place, now: $1) }
            } catch {
                if let error = error as? ConnectError { noteRelayAttempts(error.attempts, begun: begun) }
                let failure = Self.failure(of: error)
                driver.handle { $0.attemptFailed(id, failure, now: $1) }
            }
            tasks[id] = nil
        }
    }

    /// The connect to the relay is a part of this one: its attempts show, where there was more than one.
    private func noteRelayAttempts(_ attempts: [ConnectAttempt], begun: NetworkInstant) {
        guard attempts.count > 1 else { return }
        driver.note { machine, _ in
            for attempt in attempts { machine.note(attempt, begun: begun) }
        }
    }

    private func connect(_ way: DialMachine.Way) async throws -> RelayedConnection {
        switch way {
        case .direct(let address):
            let connection = try await dialer.transport.connect(to: address, expecting: nodeID)
            return RelayedConnection(connection: connection, relay: nil, attempts: [])
        case .tcp(let address):
            let connection = try await dialer.transport.connect(tcp: address, expecting: nodeID)
            return RelayedConnection(connection: connection, relay: nil, attempts: [])
        case .relay(let relay):
            guard let relayDial = dialer.relayDial, let nodeID else {
                throw TransportFailure(.unsupported, detail: "relays are left out")
            }
            return try await relayDial(relay, nodeID)
        }
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
}
