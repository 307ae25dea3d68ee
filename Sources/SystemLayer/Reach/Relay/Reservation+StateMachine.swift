internal import DeP2PReactor

/// A client's reservations with the relays that it knows, in order of preference: pure.
///
/// Each relay is `idle` (not asked before an instant), `asking` (perhaps still holding the reservation that it renews)
/// or `held`. ``Self/wanted`` reservations stand at a time: when one is lost or its relay falls silent, the next relay
/// is asked at once, and what the silent one granted is kept until another stands. Calling order: ``add(now:)`` for
/// each relay; for each ``Action/reserve(_:)`` one of ``granted(_:time:now:)`` or ``failed(_:now:)``; ``lost(_:now:)``,
/// ``silent(_:now:)`` and ``heard(_:now:)`` as it happens; ``timerFired(now:)`` when the instant of ``wake`` comes.
struct ReservationMachine: TimedMachine {
    /// Reservations held at once, when there are as many relays.
    static let wanted = 2
    /// Relays known at once.
    static let relayLimit = 16
    /// The part of a reservation's time after which it is renewed, in percent.
    static let renewalPercent = 60
    /// Waits after failures: this, doubled with each up to the longest.
    static let firstBackoff = Duration.seconds(1)
    static let longestBackoff = Duration.seconds(60)
    /// No reservation is renewed more often than this, whatever time the relay grants.
    static let shortestRenewal = Duration.seconds(1)

    enum Action: Equatable {
        /// Ask this relay for a reservation.
        case reserve(Int)
        /// What stands has changed.
        case changed
    }

    struct Held: Equatable {
        let expires: NetworkInstant
        let renewAt: NetworkInstant
    }

    private enum Phase {
        case idle(notBefore: NetworkInstant)
        case asking(Held?)
        case held(Held)
    }

    private struct Relay {
        var phase: Phase
        var failures = 0
        var isSilent = false

        var held: Held? {
            switch phase {
            case .idle, .asking(nil): nil
            case .asking(let held?), .held(let held): held
            }
        }

        /// Whether it counts as a reservation that stands or is about to.
        var counts: Bool {
            if case .idle = phase { false } else { !isSilent }
        }
    }

    private var relays: [Relay] = []
    private var isStopped = false

    /// The relays whose reservations stand, in order of preference.
    var standing: [Int] { relays.indices.filter { relays[$0].held != nil } }

    func isHeld(_ index: Int) -> Bool { relays.indices.contains(index) && relays[index].held != nil }

    /// When something is next due.
    var wake: NetworkInstant? {
        guard !isStopped else { return nil }
        let isShort = relays.count(where: \.counts) < Self.wanted
        return relays.compactMap { relay -> NetworkInstant? in
            switch relay.phase {
            case .idle(let notBefore): isShort ? notBefore : nil
            case .asking(let held): held?.expires
            case .held(let held): min(held.renewAt, held.expires)
            }
        }.min()
    }

    // MARK: Events

    /// Adds a relay behind those known; it has the next index. Ignored at ``relayLimit``.
    mutating func add(now: NetworkInstant) -> [Action] {
        guard relays.count < Self.relayLimit else { return [] }
        relays.append(Relay(phase: .idle(notBefore: now)))
        return advance(now: now)
    }

    mutating func granted(_ index: Int, time: Duration, now: NetworkInstant) -> [Action] {
        guard case .asking(let previous) = relays[index].phase else { return [] }
        let renewal = max(time * Self.renewalPercent / 100, Self.shortestRenewal)
        relays[index].phase = .held(Held(expires: now.advanced(by: time), renewAt: now.advanced(by: renewal)))
        relays[index].failures = 0
        relays[index].isSilent = false
        return (previous == nil ? [.changed] : []) + advance(now: now)
    }

    /// The relay did not grant it; a reservation that was to be renewed stands until its time.
    mutating func failed(_ index: Int, now: NetworkInstant) -> [Action] {
        guard case .asking(let previous) = relays[index].phase else { return [] }
        let wait = Self.backoff(relays[index].failures)
        relays[index].failures += 1
        if let previous, previous.expires > now {
            relays[index].phase = .held(Held(expires: previous.expires, renewAt: now.advanced(by: wait)))
            return advance(now: now)
        }
        relays[index].phase = .idle(notBefore: now.advanced(by: wait))
        relays[index].isSilent = false
        return (previous == nil ? [] : [.changed]) + advance(now: now)
    }

    /// The connection to the relay ended, and the reservation with it.
    mutating func lost(_ index: Int, now: NetworkInstant) -> [Action] {
        guard isHeld(index) else { return [] }
        relays[index].isSilent = false
        if case .asking = relays[index].phase {
            // The answer under way may still come, over a new connection.
            relays[index].phase = .asking(nil)
            return [.changed]
        }
        // The others come first: a relay that just went away is rarely back at once.
        relays[index].phase = .idle(notBefore: now.advanced(by: Self.firstBackoff))
        return [.changed] + advance(now: now)
    }

    /// Nothing has come from the relay for longer than its keep-alive: another is asked, this one's is kept meanwhile.
    mutating func silent(_ index: Int, now: NetworkInstant) -> [Action] {
        guard isHeld(index), !relays[index].isSilent else { return [] }
        relays[index].isSilent = true
        return advance(now: now)
    }

    /// The relay is there after all.
    mutating func heard(_ index: Int) {
        if relays.indices.contains(index) { relays[index].isSilent = false }
    }

    /// Something better than the time of renewal says that it is to be renewed now.
    mutating func renew(_ index: Int, now: NetworkInstant) -> [Action] {
        guard !isStopped, relays.indices.contains(index), case .held(let held) = relays[index].phase else { return [] }
        relays[index].phase = .asking(held)
        return [.reserve(index)]
    }

    mutating func timerFired(now: NetworkInstant) -> [Action] { advance(now: now) }

    /// Something has changed that failures may have come from: waits are over.
    mutating func retry(now: NetworkInstant) -> [Action] {
        for index in relays.indices {
            if case .idle = relays[index].phase { relays[index] = Relay(phase: .idle(notBefore: now)) }
        }
        return advance(now: now)
    }

    mutating func stop() { isStopped = true }

    // MARK: Deciding

    private mutating func advance(now: NetworkInstant) -> [Action] {
        guard !isStopped else { return [] }
        var actions: [Action] = []
        for index in relays.indices {
            guard let held = relays[index].held else { continue }
            if held.expires <= now {
                if case .asking = relays[index].phase {
                    relays[index].phase = .asking(nil)
                } else {
                    relays[index].phase = .idle(notBefore: now)
                }
                actions.append(.changed)
            } else if case .held = relays[index].phase, held.renewAt <= now {
                relays[index].phase = .asking(held)
                actions.append(.reserve(index))
            }
        }
        for index in relays.indices where relays.count(where: \.counts) < Self.wanted {
            guard case .idle(let notBefore) = relays[index].phase, notBefore <= now else { continue }
            relays[index].phase = .asking(nil)
            actions.append(.reserve(index))
        }
        return actions
    }

    private static func backoff(_ failures: Int) -> Duration {
        min(firstBackoff * (1 << min(failures, 16)), longestBackoff)
    }
}
