internal import DeP2PIdentity
internal import DeP2PQUIC
package import DeP2PReactor

/// Who is online: feeds ``LivenessMachine`` with what the sessions know anyway. The heartbeat is QUIC's keep-alive, the
/// goodbye a close code; nothing else is sent, but to who does not answer in time.
///
/// Calling order: ``start()``; ``stop()`` before the node closes its sessions, which are nobody's absence.
@NetworkActor
package final class Liveness {
    /// Hears of each change that is told.
    package var onChange: (@NetworkActor (PeerPresence) -> Void)?
    private let connections: Connections
    private var machine: LivenessMachine
    private var timer: (token: TimerToken, due: NetworkInstant)?
    private var isStopped = false
    private var clock: any NetworkClock { connections.clock }

    package init(_ connections: Connections, times: LivenessTimes) {
        self.connections = connections
        machine = LivenessMachine(
            times: times, limits: LivenessMachine.Limits(present: connections.limits.mostSessions))
    }

    package func start() {
        // Who is only asked something is nobody's company.
        connections.onSession { [weak self] session in
            if !session.isErrand { self?.watch(session) }
        }
        connections.onWanted { [weak self] session in self?.watch(session) }
        connections.onAdmission { [weak self] session in
            self?.carryOut { $0.admitted(session.id, now: $1) }
        }
        connections.onRealmChange { [weak self] isInRealm in self?.realmChanged(isInRealm) }
    }

    /// Tells no more.
    package func stop() {
        isStopped = true
        timer.map { clock.cancel($0.token) }
        timer = nil
    }

    /// Who is online or unstable now, in the order of NodeIDs.
    package var peers: [PeerPresence] { machine.snapshot(now: clock.now) }

    private func watch(_ session: Session) {
        // Who is not let in was never here.
        guard session.isOpen else { return }
        let (id, nodeID) = (session.id, session.remoteNodeID)
        let isChosen = session.isInitiator || connections.isProtected(nodeID)
        carryOut { machine, now in
            machine.opened(id, of: nodeID, over: session.path.kind, as: isChosen ? .chosen : .stranger, now: now)
        }
        session.onPathChange { [weak self] path in
            self?.carryOut { $0.moved(id, to: path.kind, now: $1) }
        }
        session.onPathLoss { [weak self] in self?.carryOut { $0.lostPath(id, now: $1) } }
        session.onEnd { [weak self] session, end in
            let heardAt = session.connection.receivedAt
            self?.carryOut { $0.closed(id, end, heardAt: heardAt, now: $1) }
        }
    }

    private func realmChanged(_ isInRealm: Bool) {
        machine.isInRealm = isInRealm
        if !isInRealm { machine.leftRealm() }
    }

    private func carryOut(_ event: (inout LivenessMachine, NetworkInstant) -> [PeerPresence]) {
        guard !isStopped else { return }
        let now = clock.now
        // What has come meanwhile is known before anything is decided.
        let due = machine.wake.map { $0 <= now } ?? false
        let told = (due ? look(now) : []) + event(&machine, now)
        setTimer()
        for session in machine.takeProbes() { connections.session(id: session)?.connection.nudge() }
        for presence in told { onChange?(presence) }
    }

    private func setTimer() {
        let wake = machine.wake
        guard timer?.due != wake else { return }
        timer.map { clock.cancel($0.token) }
        timer = wake.map { due in
            (clock.schedule(at: due) { [weak self] in self?.timerFired() }, due)
        }
    }

    private func timerFired() {
        timer = nil
        carryOut { _, _ in [] }
    }

    private func look(_ now: NetworkInstant) -> [PeerPresence] {
        machine.timerFired(now: now) { [connections] in connections.session(id: $0)?.connection.receivedAt }
    }
}
