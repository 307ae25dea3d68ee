import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor

@testable import DeP2PSessions

/// A liveness machine with a clock that follows its `wake`, as its shell does, and peers that are heard or silent.
struct LivenessBench {
    static let start = NetworkInstant(nanoseconds: 1_000_000_000)

    /// What was told, and how many milliseconds after the beginning.
    struct Telling: Equatable, CustomStringConvertible {
        let at: Int
        let presence: PeerPresence

        var description: String {
            let reason = presence.reason.map { " \($0.rawValue)" } ?? ""
            return "\(at) \(presence.state.rawValue)\(reason)"
        }
    }

    var machine: LivenessMachine
    private(set) var now = start
    private(set) var told: [Telling] = []
    /// Sessions that were asked for a sign of life, and after how many milliseconds.
    private(set) var probed: [(session: UInt64, at: Int)] = []
    /// Sessions on which something comes all the time.
    private var heard: Set<UInt64> = []
    private var heardAt: [UInt64: NetworkInstant] = [:]

    init(
        keepAlive: Duration = .seconds(3), idleTimeout: Duration = .seconds(9), present: Int = 100,
        inRealm: Bool = false
    ) {
        machine = LivenessMachine(
            times: LivenessTimes(keepAlive: keepAlive, idleTimeout: idleTimeout),
            limits: LivenessMachine.Limits(present: present))
        machine.isInRealm = inRealm
    }

    var lines: [String] { told.map(\.description) }
    var milliseconds: Int { Int(now.duration(since: Self.start).milliseconds) }

    // MARK: Time

    /// Lets time pass, with the timer fired whenever it is due.
    mutating func pass(_ duration: Duration) {
        let end = now.advanced(by: duration)
        while let wake = machine.wake, wake <= end {
            now = max(now, wake)
            fire()
        }
        now = end
    }

    /// This machine stands still: nothing is done meanwhile.
    mutating func standStill(_ duration: Duration) { now = now.advanced(by: duration) }

    mutating func fire() {
        for session in heard { heardAt[session] = now }
        note(machine.timerFired(now: now) { [heardAt] in heardAt[$0] })
        let at = milliseconds
        probed += machine.takeProbes().map { ($0, at) }
    }

    private mutating func note(_ presences: [PeerPresence]) {
        told += presences.map { Telling(at: milliseconds, presence: $0) }
    }

    // MARK: Events

    mutating func open(
        _ session: UInt64, _ nodeID: NodeID, _ path: ConnectionPath.Kind = .direct,
        as standing: LivenessMachine.Standing = .chosen
    ) {
        heard.insert(session)
        heardAt[session] = now
        note(machine.opened(session, of: nodeID, over: path, as: standing, now: now))
    }

    mutating func silence(_ session: UInt64) {
        heardAt[session] = now
        heard.remove(session)
    }

    mutating func hear(_ session: UInt64) { heard.insert(session) }
    mutating func admit(_ session: UInt64) { note(machine.admitted(session, now: now)) }
    mutating func move(_ session: UInt64, _ path: ConnectionPath.Kind) {
        note(machine.moved(session, to: path, now: now))
    }
    mutating func losePath(_ session: UInt64) { note(machine.lostPath(session, now: now)) }

    mutating func close(_ session: UInt64, _ cause: SessionEnd.Cause) {
        let last = heard.contains(session) ? now : heardAt[session] ?? now
        heard.remove(session)
        note(machine.closed(session, SessionEnd(cause), heardAt: last, now: now))
    }
}
