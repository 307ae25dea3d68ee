internal import DeP2PReactor

/// What follows from whether the connection gets on, on either side.
extension PathKeeper {
    /// What there is to know of the connection when something is found.
    struct Situation {
        /// Whether this side is QUIC's client, and decides.
        let isClient: Bool
        /// Whether the path leads through no relay.
        let isStraight: Bool
        /// Whether anything waits for the connection.
        let isBusy: Bool
        /// Whether a relay is known that may lead to the peer.
        let canReturn: Bool
    }

    mutating func found(_ finding: ProgressWatch.Finding, _ now: NetworkInstant, in situation: Situation) -> [Action] {
        situation.isClient ? decide(finding, now, situation) : watch(finding, situation)
    }

    private mutating func decide(
        _ finding: ProgressWatch.Finding, _ now: NetworkInstant, _ situation: Situation
    ) -> [Action] {
        switch finding {
        case .acknowledged:
            heard(now: now)
            return pathFound(isRelayed: !situation.isStraight, now: now)
        case .stalled where situation.isStraight: return stalled(canReturn: situation.canReturn, now: now)
        case .silent where situation.isStraight: return silent(canReturn: situation.canReturn, now: now)
        case .stalled, .silent: return relayLost(now: now)
        case .heard, .quiet: return []
        }
    }

    /// The client will come back by the relay when the straight path is dead: it has to find this side there, whose NAT
    /// may have forgotten the mapping to the relay too. It may hear all that this side sends, and so see nothing.
    private func watch(_ finding: ProgressWatch.Finding, _ situation: Situation) -> [Action] {
        guard situation.isStraight else { return [] }
        return switch finding {
        case .stalled: [.tellOfStall]
        case .quiet where situation.isBusy: [.nudgeRelays]
        case .silent: [.tellOfStall, .nudgeRelays]
        case .quiet, .heard, .acknowledged: []
        }
    }
}
