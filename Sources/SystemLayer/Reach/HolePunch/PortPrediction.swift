internal import DeP2PIdentity
internal import DeP2PReactor

/// What the addresses under which observers see a socket tell about its NAT: pure.
struct PortPrediction {
    /// Steps taken for a NAT that counts its ports up; larger ones are taken for chance.
    static let longestStep = 64
    /// A NAT that counts by small steps may serve others meanwhile: every port is predicted then, not every step's.
    static let denseStep = 4
    /// Ports predicted that were given out before the known ones.
    static let earlier = 6

    /// One observer's answer, in the order in which the observers were first asked.
    struct Observation: Equatable {
        let observer: SocketAddress
        let mapped: SocketAddress
    }

    /// The addresses to tell a peer.
    ///
    /// - Parameter observations: of one socket, by at least one observer.
    static func candidates(_ observations: [Observation]) -> [Candidate] {
        let observations = credible(observations)
        var result: [Candidate] = []
        for family in [IPAddress.Family.v4, .v6] {
            let mapped = observations.map(\.mapped).filter { $0.ip.family == family }
            for address in mapped where !result.contains(where: { $0.address == address }) {
                result.append(Candidate(.observed, address))
            }
            result += runs(around: mapped)
        }
        return result
    }

    /// How the NAT gives out IPv4 ports, where it is one of the two kinds that guessing is for.
    static func mapping(_ observations: [Observation]) -> MappedPorts? {
        let seen = credible(observations).filter { $0.mapped.ip.family == .v4 }
        guard Set(seen.map(\.observer.ip)).count > 1, Set(seen.map(\.mapped.ip)).count == 1 else { return nil }
        // Two that see the same port can't both have made it up, as one that sees another can.
        let witnesses = Dictionary(grouping: seen, by: \.mapped).values.map { Set($0.map(\.observer.ip)).count }
        if witnesses.contains(where: { $0 > 1 }) { return .independent }
        return runs(around: seen.map(\.mapped)).isEmpty ? .random : nil
    }

    /// Whether the NAT may count its ports without that being seen: observers at one address alone see the same port always when
    /// the port depends on the address.
    static func mayCount(_ observations: [Observation]) -> Bool {
        let seen = credible(observations).filter { $0.mapped.ip.family == .v4 }
        return Set(seen.map(\.mapped)).count == 1 && Set(seen.map(\.observer.ip)).count == 1
    }

    /// Observations without those of an IP address that one subject alone sees while several agree on another: a liar would
    /// send peers to a victim, and hide the sequence of ports from all.
    private static func credible(_ observations: [Observation]) -> [Observation] {
        var witnesses: [IPAddress: Set<Subject>] = [:]
        for item in observations { witnesses[item.mapped.ip, default: []].insert(Subject(item.observer.ip)) }
        let agreed = witnesses.filter { $0.value.count > 1 }.keys
        return observations.filter { item in
            agreed.contains(item.mapped.ip) || !agreed.contains { $0.family == item.mapped.ip.family }
        }
    }

    /// The ports that a NAT in sequence gives out next, and those that it gave out just before: it may have a mapping
    /// for the peer already. None when the mappings are one, or follow no sequence.
    private static func runs(around mapped: [SocketAddress]) -> [Candidate] {
        guard let last = mapped.last, mapped.allSatisfy({ $0.ip == last.ip }), Set(mapped).count > 1 else { return [] }
        let ports = mapped.map { Int($0.port) }
        let steps = zip(ports.dropFirst(), ports).map { $0 - $1 }.filter { $0 != 0 }
        guard let smallest = steps.map(abs).min(), steps.allSatisfy({ abs($0) <= longestStep }) else { return [] }
        let isCountingUp = steps.count { $0 > 0 } * 2 >= steps.count
        let step = (smallest <= denseStep ? 1 : smallest) * (isCountingUp ? 1 : -1)
        let (lowest, highest) = (ports.min() ?? 0, ports.max() ?? 0)
        let next = isCountingUp ? highest + step : lowest + step
        let before = isCountingUp ? lowest - step : highest - step
        return [(next, step, Candidate.runLimit), (before, -step, earlier)].compactMap { first, step, count in
            guard let port = UInt16(exactly: first), port > 0 else { return nil }
            return Candidate(.predicted, SocketAddress(last.ip, port: port), step: step, count: count)
        }
    }
}
