internal import DeP2PIdentity
internal import DeP2PReactor

/// What observations say about a NAT: pure functions, each `nil` where they do not suffice.
enum NATBehaviour {
    struct Sample: Equatable {
        let destination: SocketAddress
        let mapped: SocketAddress
    }

    /// The largest step between successive ports that still counts as allocation in sequence.
    static let maximumStep = 32

    /// What most observers agree on: while two at different IP addresses see just the same address, fewer that see others
    /// are wrong, or lie. A mapping that depends on whom it leads to gives no two the same port: then the IP address alone counts.
    static func credible(_ samples: [Sample]) -> [Sample] {
        agreed(samples, on: \.mapped) ?? agreed(samples, on: \.mapped.ip) ?? samples
    }

    private static func agreed<Seen: Hashable>(_ samples: [Sample], on seen: (Sample) -> Seen) -> [Sample]? {
        var voters: [Seen: Set<IPAddress>] = [:]
        for sample in samples { voters[seen(sample), default: []].insert(sample.destination.ip) }
        guard let most = voters.max(by: { $0.value.count < $1.value.count }), most.value.count >= 2 else { return nil }
        let others = Set(samples.filter { seen($0) != most.key }.map(\.destination.ip))
        // Who is on both sides has a mapping of its own: that is the NAT's doing.
        guard others.count < most.value.count, others.isDisjoint(with: most.value) else { return nil }
        return samples.filter { seen($0) == most.key }
    }

    /// RFC 5780 section 4.3, over any set of observers: `samples` are one socket's mappings.
    static func mapping(_ samples: [Sample]) -> NATMapping? {
        var (addresses, ports) = (Comparison(), Comparison())
        for (index, left) in samples.enumerated() {
            for right in samples[(index + 1)...] where left.destination != right.destination {
                let isEqual = left.mapped == right.mapped
                if left.destination.ip == right.destination.ip { ports.add(isEqual) } else { addresses.add(isEqual) }
            }
        }
        if ports.differs { return .addressAndPortDependent }
        if addresses.differs { return ports.isKnown ? .addressDependent : .endpointDependent }
        return addresses.isKnown ? .endpointIndependent : nil
    }

    private struct Comparison {
        var isKnown = false
        var differs = false

        mutating func add(_ isEqual: Bool) {
            isKnown = true
            if !isEqual { differs = true }
        }
    }

    /// How ports are chosen, from mappings in the order in which they were made.
    ///
    /// - Parameter local: the socket's own port.
    static func allocation(_ samples: [Sample], local: UInt16, mapping: NATMapping?) -> NATPortAllocation? {
        guard !samples.isEmpty else { return nil }
        if samples.allSatisfy({ $0.mapped.port == local }) { return .preserving }
        // One mapping for all says nothing about the next; two could be near each other by chance.
        guard let mapping, mapping != .endpointIndependent, samples.count >= 3 else { return nil }
        // Where a port is an address's, or that of one more, it is made once and seen again.
        var ports: [Int] = []
        for sample in samples where !ports.contains(Int(sample.mapped.port)) { ports.append(Int(sample.mapped.port)) }
        let steps = zip(ports.dropFirst(), ports).map { $0 - $1 }
        if steps.contains(where: { abs($0) > maximumStep }) { return .random }
        guard steps.count >= 2 else { return nil }
        let isSequential = steps.allSatisfy { ($0 > 0) == (steps[0] > 0) }
        return isSequential ? .sequential(step: steps.sorted()[steps.count / 2]) : .random
    }
}
