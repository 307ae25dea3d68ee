internal import DeP2PReach

/// Am I reachable, and why not: pure.
struct ReachabilityAnswer: Equatable, Sendable {
    /// What it follows from.
    struct Facts: Equatable, Sendable {
        var state = ReachabilityState.unknown
        var usesDirect = true
        /// Whether a gateway keeps a port open.
        var hasPort = false
        /// Relays that it is told to be reachable through, and those that hold a place for it.
        var relaysWanted = 0
        var relaysHeld = 0
        /// The first address that others may use.
        var address: String?
    }

    /// `yes`, `relay` (through one), `no`, or `unknown`.
    let answer: String
    /// A sentence for people, and one for what to do, if there is anything.
    let why: String
    let hint: String?

    init(_ facts: Facts) {
        let relays = facts.relaysHeld == 1 ? "a relay" : "\(facts.relaysHeld) relays"
        switch (facts.state, facts.relaysHeld > 0) {
        case (.reachable, _) where facts.usesDirect:
            (answer, hint) = ("yes", nil)
            why = "Others have reached this node straight" + (facts.address.map { ", at \($0)." } ?? ".")
        case (_, true):
            (answer, hint) = ("relay", nil)
            why =
                "Others reach it through \(relays)"
                + (facts.usesDirect ? ", and straight where a hole can be punched." : " only.")
        case (_, false) where facts.relaysWanted > 0:
            answer = "no"
            why = "None of \(facts.relaysWanted) configured relays holds a place for this node" + Self.straight(facts)
            hint = "What failed last says why."
        case (.unreachable, false):
            answer = "no"
            why =
                "Nodes that tried to reach it from outside did not get through"
                + (facts.hasPort ? ", although the router says that it forwards a port." : ".")
            hint = "Give it a relay, or open its UDP port on the router."
        default:
            answer = "unknown"
            why =
                facts.usesDirect
                ? "No node has tried to reach it from outside yet."
                : "Straight paths are left out, and no relay is configured."
            hint = facts.usesDirect ? "It is found out once it is connected with others." : "Give it a relay."
        }
    }

    private static func straight(_ facts: Facts) -> String {
        switch facts.state {
        case .unreachable: ", and nodes that tried from outside did not get through."
        case .unknown, .reachable: "."
        }
    }
}
