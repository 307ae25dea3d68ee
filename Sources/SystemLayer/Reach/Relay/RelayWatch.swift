internal import DeP2PQUIC
internal import DeP2PReactor
internal import DeP2PSessions

/// Watches one relay's connection as ``RelayPulse`` says.
@NetworkActor
final class RelayWatch {
    /// The circuits through the relay, once there were any.
    var leg: RelayLeg? { didSet { look() } }
    /// Whether a reservation stands on it, which is kept an eye on though nothing moves.
    var isReserved = false { didSet { look() } }
    var onSilence: (@NetworkActor () -> Void)?
    var onHeard: (@NetworkActor () -> Void)?
    /// What waits for the relay, by its number.
    private var waiting: [Int: @NetworkActor () -> Void] = [:]
    private var nextNumber = 0
    private weak var session: Session?
    private let clock: any NetworkClock
    private let rest: Duration
    private var pulse = RelayPulse()
    private let timer: WakeTimer

    init(_ session: Session, keepAlive: Duration) {
        self.session = session
        clock = session.clock
        rest = keepAlive / 2
        timer = WakeTimer(clock)
        timer.onWake = { [weak self] in self?.look() }
    }

    var isSilent: Bool { session.map { pulse.isSilent(signs($0)) } ?? false }

    func stop() {
        session = nil
        leg?.onFrame = nil
        timer.set(nil)
    }

    /// The network has changed: whether the relay still answers shows at once.
    func doubt() {
        pulse.doubt(now: clock.now)
        look()
    }

    /// Has `act` called when the relay falls silent.
    ///
    /// - Returns: what to ``forget(_:)`` it by.
    func onceSilent(_ act: @escaping @NetworkActor () -> Void) -> Int {
        nextNumber += 1
        waiting[nextNumber] = act
        return nextNumber
    }

    func forget(_ number: Int) { waiting[number] = nil }

    private func signs(_ session: Session) -> RelayPulse.Signs {
        let answered = session.connection.receivedAt
        return RelayPulse.Signs(
            heardAt: max(answered, leg?.heardAt ?? answered), answeredAt: answered,
            acknowledgedAt: session.connection.acknowledgedAt, frames: leg?.carried ?? 0,
            roundTrip: session.roundTripTime ?? .zero, rest: isReserved ? rest : nil)
    }

    private func look() {
        guard let session, session.isOpen else { return stop() }
        let finding = pulse.look(signs(session), now: clock.now)
        let due = pulse.due(signs(session))
        timer.set(due)
        leg?.onFrame = { [weak self] in self?.frameCame(restingUntil: due) }
        switch finding {
        case .ask: session.connection.nudge()
        case .silent:
            session.connection.nudge()
            for act in waiting.valuesInOrder { act() }
            onSilence?()
        case .heard: onHeard?()
        case nil: break
        }
    }

    /// In the midst of sending or receiving: it is only seen to that a look is soon enough.
    private func frameCame(restingUntil due: NetworkInstant?) {
        let soon = clock.now.advanced(by: RelayPulse.interval)
        if due.map({ $0 > soon }) ?? true { timer.set(soon) }
    }
}
