package import DeP2PReactor

/// Whether a node relays for its realm: while it is in one and others reach it at a public address: pure.
///
/// States: off → settling, once both hold → serving; serving → leaving, when it can't be reached any more → off. Out of a realm
/// it is off at once. Calling order: ``changed(isInRealm:isReachable:now:)`` whenever either may have changed;
/// ``timerFired(now:)`` when ``wake`` comes.
package struct RealmRelayMachine: TimedMachine, Sendable {
    /// How long both have to hold first: an address that comes and goes is nobody's relay.
    package static let settling = Duration.seconds(2)
    /// How long it goes on where nobody has reached it lately: it may only be that the network was looked at anew.
    package static let patience = Duration.seconds(60)

    package enum Action: Equatable, Sendable {
        case serve
        case stopServing
    }

    private enum State: Equatable {
        case off
        case settling(until: NetworkInstant)
        case serving
        case leaving(at: NetworkInstant)
    }

    private var state = State.off

    package init() {}

    package var isServing: Bool {
        switch state {
        case .off, .settling: false
        case .serving, .leaving: true
        }
    }

    package var wake: NetworkInstant? {
        switch state {
        case .off, .serving: nil
        case .settling(let end), .leaving(let end): end
        }
    }

    package mutating func changed(isInRealm: Bool, isReachable: Bool, now: NetworkInstant) -> [Action] {
        guard isInRealm else {
            defer { state = .off }
            return isServing ? [.stopServing] : []
        }
        switch (state, isReachable) {
        case (.off, true): state = .settling(until: now.advanced(by: Self.settling))
        case (.settling, false): state = .off
        case (.serving, false): state = .leaving(at: now.advanced(by: Self.patience))
        case (.leaving, true): state = .serving
        case (.off, false), (.settling, true), (.serving, true), (.leaving, false): break
        }
        return []
    }

    package mutating func timerFired(now: NetworkInstant) -> [Action] {
        guard let wake, wake <= now else { return [] }
        let served = isServing
        state = served ? .off : .serving
        return [served ? .stopServing : .serve]
    }
}
