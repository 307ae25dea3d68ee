/// Where a lookup begins.
extension RoutingTable {
    /// With fewer entries, nodes of the last run and bootstrap nodes are asked too.
    package static let sparseCount = 3

    package var isSparse: Bool { count < Self.sparseCount }

    /// The nearest of the table, and where it is sparse, those of the last run and the bootstrap nodes by turns: what has been
    /// of use comes first, and neither the dead of the one nor of the other are waited for.
    package func seeds(near place: DHTKey, remembered: [DHTContact], bootstrap: [DHTContact]) -> [DHTContact] {
        var seeds = closest(to: place)
        guard isSparse else { return seeds }
        for index in 0..<max(remembered.count, bootstrap.count) {
            for list in [remembered, bootstrap] where index < list.count && !seeds.contains(list[index]) {
                seeds.append(list[index])
            }
        }
        return seeds
    }
}
