internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor
internal import DeP2PSessions

/// The circuits that relays have brought to this node: which of them are of use.
///
/// A circuit is `new` until a session came over it that this node wants; then it is `confirmed`, which its relay is
/// told; one that is not in time, or whose sessions have all ended, is ended. A relay gives each node a few circuits
/// only, and strangers must not hold them. Calling order: ``opened(_:)``, ``took(_:path:)`` for sessions and their
/// changes of path, ``closed(_:)``.
@NetworkActor
final class InboundCircuits {
    /// How long a new circuit has until somebody came over it who is wanted: an admission and its round trips.
    nonisolated static let patience = Duration.seconds(10)
    nonisolated static let interval = Duration.milliseconds(500)
    /// How long it may stand once all its sessions have ended.
    nonisolated static let afterlife = Duration.seconds(3)
    /// Sessions remembered of one circuit.
    nonisolated static let sessionLimit = 8

    @NetworkActor
    final class Circuit {
        let id: UInt64
        let leg: RelayLeg
        private let stream: NegotiatedStream
        private let tellsRelay: Bool
        fileprivate let openedAt: NetworkInstant
        fileprivate var sessions: [Session] = []
        fileprivate var isConfirmed = false
        fileprivate var emptyAt: NetworkInstant?

        init(_ grant: CircuitGrant, _ leg: RelayLeg, _ stream: NegotiatedStream, now: NetworkInstant) {
            (id, tellsRelay) = (grant.id, grant.confirms)
            (self.leg, self.stream, openedAt) = (leg, stream, now)
        }

        fileprivate func confirm() {
            isConfirmed = true
            guard tellsRelay else { return }
            networkTask { [stream] in
                await traced(awaiting: "telling a relay that a circuit is used") { try await stream.write(.confirm) }
            }
        }

        /// The relay answers with its own end of the stream.
        fileprivate func end() { stream.finish() }
    }

    /// Whether the session is one that this node keeps a circuit for.
    var isWanted: @NetworkActor (Session) -> Bool = { _ in true }
    /// Called for each circuit that is given up.
    var onEnd: (@NetworkActor (Circuit) -> Void)?
    private let clock: any NetworkClock
    private var circuits: [UInt64: Circuit] = [:]
    private var timer: TimerToken?

    init(clock: any NetworkClock) {
        self.clock = clock
    }

    var count: Int { circuits.count }

    func opened(_ circuit: Circuit) {
        circuits[circuit.id] = circuit
        setTimer()
    }

    func closed(_ circuit: Circuit) {
        if circuits[circuit.id] === circuit { circuits[circuit.id] = nil }
    }

    /// A session came, or an old one has moved.
    func took(_ session: Session, path: ConnectionPath) {
        guard case .relay = path.kind, let remote = path.remote, let circuit = circuits[remote.ip.low],
            circuit.leg.circuit(of: path) == circuit.id, !circuit.sessions.contains(where: { $0 === session }),
            circuit.sessions.count < Self.sessionLimit
        else { return }
        circuit.sessions.append(session)
        if !circuit.isConfirmed, isWanted(session) { circuit.confirm() }
    }

    func stop() {
        timer.map(clock.cancel)
        timer = nil
        circuits = [:]
    }

    private func setTimer() {
        guard timer == nil, !circuits.isEmpty else { return }
        timer = clock.schedule(after: Self.interval) { [weak self] in
            guard let self else { return }
            timer = nil
            for circuit in circuits.valuesInOrder { look(circuit) }
            setTimer()
        }
    }

    private func look(_ circuit: Circuit) {
        let hadSessions = !circuit.sessions.isEmpty || circuit.emptyAt != nil
        circuit.sessions.removeAll { !$0.isOpen }
        if !circuit.isConfirmed, circuit.sessions.contains(where: isWanted) { circuit.confirm() }
        let isLate = !circuit.isConfirmed && clock.now.duration(since: circuit.openedAt) >= Self.patience
        // Who lost a connection may dial again over the same circuit, but does so at once.
        circuit.emptyAt = circuit.sessions.isEmpty && hadSessions ? circuit.emptyAt ?? clock.now : nil
        let isLeft = circuit.emptyAt.map { clock.now.duration(since: $0) >= Self.afterlife } ?? false
        guard isLate || isLeft else { return }
        closed(circuit)
        circuit.end()
        onEnd?(circuit)
    }
}
