internal import DeP2PReactor

/// A client's reservations with the relays that it knows, in order of preference: pure.
///
/// Each relay is `idle` (not asked before an instant), `asking` (perhaps still holding the reservation that it renews)
/// or `held`. ``Self/wanted`` reservations stand at a time: when one is lost or its relay falls silent, the next relay is
/// asked at once, and that one too, over and over for a while: it may have been restarted, or be reached another way.
/// What the silent one granted is kept until it stands anew. Once others are preferred
/// (``prefer(_:now:)``) those are asked whatever stands, and as soon as they stand the rest is *released*: told to nobody and
/// not renewed, but used until its time by who has heard of it. A relay that is none any more is *withdrawn*: released, and
/// not asked. Calling order: ``add(now:)`` for each relay; for each ``Action/reserve(_:)`` one of ``granted(_:time:now:)`` or
/// ``failed(_:now:)``; ``lost(_:now:)``, ``silent(_:now:)`` and ``heard(_:now:)`` as it happens; ``timerFired(now:)`` when the
/// instant of ``wake`` comes.
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
    /// For so long after a reservation was lost its relay may be back any moment, and is asked this often.
    static let returning = Duration.seconds(10)
    static let returnInterval = Duration.milliseconds(250)
    /// No reservation is renewed more often than this, whatever time the relay grants.
    static let shortestRenewal = Duration.seconds(1)
    /// A shorter one is none: each end of one is told to all peers and written to the public stores.
    static let shortestTime = Duration.seconds(5)

    enum Action: Equatable {
        /// Ask this relay for a reservation; over another connection, and by another way to it perhaps, where it is silent.
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
        var isReleased = false
        var isWithdrawn = false
        /// Since when what stands there has.
        var grantedAt: NetworkInstant?
        /// Since when what stood there does not, or says nothing.
        var missedAt: NetworkInstant?

        var held: Held? {
            switch phase {
            case .idle, .asking(nil): nil
            case .asking(let held?), .held(let held): held
            }
        }

        /// Whether it counts as a reservation that stands or is about to: one that was missed does when it is there.
        var counts: Bool {
            guard !isSilent, missedAt == nil else { return false }
            return switch phase {
            case .idle: false
            case .asking: true
            case .held: !isReleased
            }
        }

        var stands: Bool { held != nil && !isReleased }

        /// Whether it may be asked now.
        func isDue(_ now: NetworkInstant) -> Bool {
            guard !isWithdrawn else { return false }
            return switch phase {
            case .idle(let notBefore): notBefore <= now
            case .held(let held): isReleased && held.renewAt <= now
            case .asking: false
            }
        }

        func isReturning(_ now: NetworkInstant) -> Bool {
            guard !isWithdrawn, let missedAt else { return false }
            return now.duration(since: missedAt) < ReservationMachine.returning
        }
    }

    private var relays: [Relay] = []
    private var choice = RelayChoice()
    private var isStopped = false

    /// The relays whose reservations stand, in order of preference.
    var standing: [Int] { ranked.filter { relays[$0].stands } }

    private var ranked: [Int] { choice.order + relays.indices.filter { !choice.order.contains($0) } }

    /// Whether what it granted holds, be it told to others or not.
    func isHeld(_ index: Int) -> Bool { relays.indices.contains(index) && relays[index].held != nil }

    /// Whether it stands or is asked for.
    func counts(_ index: Int) -> Bool { relays.indices.contains(index) && relays[index].counts }

    /// Whether it has failed and is not to be asked yet: once its wait is over it is worth another try, whoever stands.
    func isFailing(_ index: Int, now: NetworkInstant) -> Bool {
        guard relays.indices.contains(index), relays[index].failures > 0,
            case .idle(let notBefore) = relays[index].phase
        else { return false }
        return notBefore > now
    }

    /// When something is next due.
    var wake: NetworkInstant? {
        guard !isStopped else { return nil }
        let isShort = relays.count(where: \.counts) < Self.wanted
        return relays.indices.compactMap { index -> NetworkInstant? in
            let relay = relays[index]
            switch relay.phase {
            case .idle(let notBefore):
                let isAsked = isShort || choice.chosen.contains(index) || relay.isReturning(notBefore)
                return !relay.isWithdrawn && isAsked ? notBefore : nil
            case .asking(let held): return held?.expires
            case .held(let held):
                let isAsked = !relay.isReleased || !relay.isWithdrawn && (isShort || choice.chosen.contains(index))
                return isAsked ? min(held.renewAt, held.expires) : held.expires
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
        guard case .asking = relays[index].phase else { return [] }
        let stood = relays[index].stands
        let renewal = max(time * Self.renewalPercent / 100, Self.shortestRenewal)
        relays[index].phase = .held(Held(expires: now.advanced(by: time), renewAt: now.advanced(by: renewal)))
        relays[index].failures = 0
        relays[index].isSilent = false
        relays[index].missedAt = nil
        if !stood { relays[index].grantedAt = now }
        relays[index].isReleased = relays[index].isWithdrawn
        return (stood != relays[index].stands ? [.changed] : []) + advance(now: now)
    }

    /// The relay did not grant it; a reservation that was to be renewed stands until its time.
    mutating func failed(_ index: Int, now: NetworkInstant) -> [Action] {
        guard case .asking(let previous) = relays[index].phase else { return [] }
        let isReturning = relays[index].isReturning(now)
        let wait = isReturning ? Self.returnInterval : Self.backoff(relays[index].failures)
        if !isReturning { (relays[index].failures, relays[index].missedAt) = (relays[index].failures + 1, nil) }
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
        let stood = relays[index].stands
        (relays[index].isSilent, relays[index].isReleased) = (false, false)
        // What had been let go of is not missed.
        if stood { relays[index].missedAt = relays[index].missedAt ?? now }
        if case .asking = relays[index].phase {
            // The answer under way may still come, over a new connection.
            relays[index].phase = .asking(nil)
            return [.changed] + advance(now: now)
        }
        // One that grants and hangs up, as when it has more clients than room, is not asked without a pause.
        let isBrief = relays[index].grantedAt.map { now.duration(since: $0) < Self.firstBackoff } ?? false
        relays[index].phase = .idle(notBefore: stood && !isBrief ? now : now.advanced(by: Self.firstBackoff))
        return (stood ? [.changed] : []) + advance(now: now)
    }

    /// The relay does not answer: another is asked, and it itself by another connection; what it granted is kept meanwhile.
    mutating func silent(_ index: Int, now: NetworkInstant) -> [Action] {
        guard !isStopped, isHeld(index), !relays[index].isSilent, !relays[index].isReleased else { return [] }
        relays[index].isSilent = true
        relays[index].missedAt = now
        var actions: [Action] = []
        if case .held(let held) = relays[index].phase {
            relays[index].phase = .asking(held)
            actions = [.reserve(index)]
        }
        return actions + advance(now: now)
    }

    /// The relay is there after all.
    mutating func heard(_ index: Int) {
        guard isHeld(index) else { return }
        relays[index].isSilent = false
        relays[index].missedAt = nil
    }

    /// Whether the relay may be back any moment.
    func isReturning(_ index: Int, now: NetworkInstant) -> Bool {
        relays.indices.contains(index) && relays[index].isReturning(now)
    }

    /// A connection with the relay stands, whoever wanted it: one that may be back any moment is.
    mutating func reached(_ index: Int, now: NetworkInstant) -> [Action] {
        guard isReturning(index, now: now), case .idle(let notBefore) = relays[index].phase,
            notBefore <= now.advanced(by: Self.returnInterval)
        else { return [] }
        relays[index].phase = .idle(notBefore: now)
        return advance(now: now)
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
            guard case .idle = relays[index].phase, !relays[index].isWithdrawn else { continue }
            relays[index] = Relay(phase: .idle(notBefore: now))
        }
        return advance(now: now)
    }

    mutating func stop() { isStopped = true }

    // MARK: Preference

    /// Which relays are to be held, and in which order all of them are told; without a choice it is that of their adding.
    mutating func prefer(_ choice: RelayChoice, now: NetworkInstant) -> [Action] {
        let before = standing
        self.choice = choice
        let actions = advance(now: now)
        return (standing == before || actions.contains(.changed) ? [] : [.changed]) + actions
    }

    /// The relay is none any more; another may have its place once ``isVacant(_:)``.
    mutating func withdraw(_ index: Int, now: NetworkInstant) -> [Action] {
        guard relays.indices.contains(index), !relays[index].isWithdrawn else { return [] }
        let stood = relays[index].stands
        relays[index].isWithdrawn = true
        release(index, now: now)
        return (stood ? [.changed] : []) + advance(now: now)
    }

    func isVacant(_ index: Int) -> Bool {
        guard relays.indices.contains(index), case .idle = relays[index].phase else { return false }
        return relays[index].isWithdrawn
    }

    /// Whether its place may be had although what it granted still holds.
    func isDismissible(_ index: Int) -> Bool {
        guard relays.indices.contains(index), case .held = relays[index].phase else { return false }
        return relays[index].isWithdrawn
    }

    /// The place of one that was withdrawn is another's.
    mutating func dismiss(_ index: Int, now: NetworkInstant) {
        guard isDismissible(index) else { return }
        relays[index] = Relay(phase: .idle(notBefore: now))
        relays[index].isWithdrawn = true
    }

    /// It is a relay again, or another one is in its place.
    mutating func restore(_ index: Int, now: NetworkInstant) -> [Action] {
        guard relays.indices.contains(index), relays[index].isWithdrawn else { return [] }
        relays[index].isWithdrawn = false
        if case .idle = relays[index].phase { relays[index] = Relay(phase: .idle(notBefore: now)) }
        return advance(now: now)
    }

    // MARK: Deciding

    private mutating func advance(now: NetworkInstant) -> [Action] {
        guard !isStopped else { return [] }
        var actions: [Action] = []
        for index in relays.indices where !relays[index].isReturning(now) {
            // Due while it could have been back, and looked at when that is over: missed any longer, `wake` would name
            // that instant for ever.
            if case .idle = relays[index].phase { relays[index].missedAt = nil }
        }
        for index in relays.indices {
            guard let held = relays[index].held else { continue }
            if held.expires <= now {
                if relays[index].stands { actions.append(.changed) }
                if case .asking = relays[index].phase {
                    relays[index].phase = .asking(nil)
                } else {
                    relays[index].phase = .idle(notBefore: now)
                    relays[index].isReleased = false
                }
            } else if case .held = relays[index].phase, held.renewAt <= now, !relays[index].isReleased {
                actions += renewal(of: index, held)
            }
        }
        for index in ranked where relays[index].isDue(now) {
            guard
                relays.count(where: \.counts) < Self.wanted || choice.chosen.contains(index)
                    || relays[index].isReturning(now)
            else { continue }
            relays[index].phase = .asking(relays[index].held)
            actions.append(.reserve(index))
        }
        return actions + release(now: now)
    }

    /// Once those that were chosen stand, what stands beside them is let go, the worst first.
    private mutating func release(now: NetworkInstant) -> [Action] {
        guard !choice.chosen.isEmpty else { return [] }
        let before = standing
        for index in ranked.reversed() where !choice.chosen.contains(index) {
            guard relays.count(where: { $0.stands && !$0.isSilent }) > Self.wanted else { break }
            if case .held = relays[index].phase { release(index, now: now) }
        }
        return standing == before ? [] : [.changed]
    }

    private mutating func release(_ index: Int, now: NetworkInstant) {
        relays[index].isReleased = relays[index].held != nil
        // Where it is wanted again it is asked at once.
        if case .held(let held) = relays[index].phase {
            relays[index].phase = .held(Held(expires: held.expires, renewAt: now))
        }
    }

    private mutating func renewal(of index: Int, _ held: Held) -> [Action] {
        // While one was missed others were asked: what is more than is wanted lapses, the last first.
        let better = ranked.prefix { $0 != index }
        guard
            choice.chosen.contains(index)
                || better.count(where: { relays[$0].held != nil && relays[$0].counts }) < Self.wanted
        else {
            relays[index].phase = .held(Held(expires: held.expires, renewAt: held.expires))
            return []
        }
        relays[index].phase = .asking(held)
        return [.reserve(index)]
    }

    private static func backoff(_ failures: Int) -> Duration {
        min(firstBackoff * (1 << min(failures, 16)), longestBackoff)
    }
}
