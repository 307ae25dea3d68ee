internal import DeP2PIdentity
internal import DeP2PReactor

/// The dials under way: one for each node, that who asks for the node meanwhile joins.
@NetworkActor
final class Dials {
    /// Which dials under way may be joined; all but ``none`` may be joined by others.
    enum Sharing { case none, young, any }

    /// An older one repeats its packets ever more seldom.
    private static let youth = Duration.milliseconds(500)

    private let dialer: any Dialling
    private let clock: any NetworkClock
    private let limit: Int
    private var shared: [NodeID: SharedDial] = [:]
    /// By their numbers, in the order in which they began.
    private var all: [UInt64: SharedDial] = [:]
    private var nextNumber: UInt64 = 0

    /// - Parameter limit: dials at once.
    init(_ dialer: any Dialling, clock: any NetworkClock, limit: Int) {
        (self.dialer, self.clock, self.limit) = (dialer, clock, limit)
    }

    var count: Int { all.count }

    /// The dial to the node that is under way, or else a new one; with these addresses.
    ///
    /// - Parameters:
    ///   - sharing: whether it may be one that is under way.
    ///   - isErrand: whether this asker does not want the node itself.
    ///   - adopt: makes a session of the connection.
    func dial(
        _ nodeID: NodeID?, _ addresses: [Address], sharing: Sharing, isErrand: Bool,
        adopt: @escaping SharedDial.Adopt
    ) throws(LimitExceeded) -> SharedDial {
        if let dial = nodeID.flatMap({ shared[$0] }), mayJoin(dial, sharing), dial.join(addresses, isErrand: isErrand) {
            return dial
        }
        guard all.count < limit else { throw LimitExceeded(name: "connects at once", value: all.count, limit: limit) }
        nextNumber += 1
        let number = nextNumber
        let dial = SharedDial(dialer.dial(nodeID), clock: clock, adopt: adopt) { [weak self] dial in
            self?.ended(dial, number, nodeID)
        }
        all[number] = dial
        if sharing != .none, let nodeID { shared[nodeID] = dial }
        _ = dial.join(addresses, isErrand: isErrand)
        return dial
    }

    private func mayJoin(_ dial: SharedDial, _ sharing: Sharing) -> Bool {
        switch sharing {
        case .none: false
        case .young: clock.now.duration(since: dial.beganAt) < Self.youth
        case .any: true
        }
    }

    private func ended(_ dial: SharedDial, _ number: UInt64, _ nodeID: NodeID?) {
        all[number] = nil
        // Its place may be another's by now.
        if let nodeID, shared[nodeID] === dial { shared[nodeID] = nil }
    }

    func cancelAll() {
        for dial in all.valuesInOrder { dial.cancel() }
    }
}
