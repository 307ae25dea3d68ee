internal import DeP2PIdentity

/// Relays to go through, each with all the ways to it that are known.
struct RelayWays {
    private var order: [NodeID] = []
    private var ways: [NodeID: [Address]] = [:]

    /// - Parameter address: with the relay's NodeID at its end; ignored without.
    mutating func add(_ address: Address) {
        guard let relay = address.nodeID else { return }
        if ways[relay] == nil { order.append(relay) }
        if ways[relay]?.contains(address) != true { ways[relay, default: []].append(address) }
    }

    func map<Result>(_ transform: ([Address]) -> Result) -> [Result] { order.map { transform(ways[$0] ?? []) } }
}

extension Address {
    /// Whether the way, or the way to its relay, is TCP.
    var isOverTCP: Bool {
        let outer = isRelayed ? relay?.address : self
        if case .tcpTLS? = outer?.transport { return true } else { return false }
    }
}
