/// Which relays a node keeps reservations with, of those that its user names and those that members of its realm offer: pure.
///
/// The nearest by round trip, a member's before another that is about as near. A relay that is held keeps its place until
/// another is clearly nearer, so that two that are alike don't take turns. One that the user names is always among them,
/// where any works: others may know this node by it alone. Members that offer to relay and hold back what they are given can
/// therefore have but one of the two places.
struct RelayChoice: Equatable {
    struct Candidate: Equatable {
        let index: Int
        /// By the user.
        let isNamed: Bool
        /// A member of the realm offers it.
        let isOfRealm: Bool
        /// `nil` while this node is not connected with it.
        let roundTrip: Duration?
        /// Whether its reservation stands, or it is being asked.
        let isHeld: Bool
        /// Whether the last attempt failed.
        let isFailing: Bool
    }

    /// What a relay is taken to be away that nobody has measured.
    static let unknown = Duration.milliseconds(150)
    /// By how much another may be nearer than a member and comes after it all the same.
    static let favour = Duration.milliseconds(20)
    /// By how much another has to be nearer than one that is held: so much at least, and this part of its round trip.
    static let shortestLead = Duration.milliseconds(20)
    static let leadPart = 4

    /// Those to hold, the best first.
    var chosen: [Int] = []
    /// All of them, the best first.
    var order: [Int] = []

    /// Nothing to choose from: the user's order holds.
    init() {}

    init(among candidates: [Candidate], wanted: Int) {
        let ranked = candidates.sorted { left, right in
            if left.isFailing != right.isFailing { return right.isFailing }
            let (a, b) = (Self.distance(left), Self.distance(right))
            return a == b ? left.index < right.index : a < b
        }
        var best = Array(ranked.lazy.filter { !$0.isFailing }.prefix(wanted))
        if !best.isEmpty, !best.contains(where: \.isNamed),
            let named = ranked.first(where: { $0.isNamed && !$0.isFailing })
        {
            if best.count == wanted { best.removeLast() }
            best.append(named)
        }
        chosen = best.map(\.index)
        order = chosen + ranked.map(\.index).filter { !chosen.contains($0) }
    }

    private static func distance(_ candidate: Candidate) -> Duration {
        let distance = (candidate.roundTrip ?? unknown) + (candidate.isOfRealm ? .zero : favour)
        return candidate.isHeld ? distance - max(shortestLead, distance / leadPart) : distance
    }
}
