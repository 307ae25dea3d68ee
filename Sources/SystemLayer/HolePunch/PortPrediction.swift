internal import Identity
internal import QUIC

/// What the addresses under which observers see a socket tell about its NAT: pure.
struct PortPrediction {
    /// Steps taken for a NAT that counts its ports up; larger ones are taken for chance.
    static let longestStep = 64
    /// A NAT that counts by small steps may serve others meanwhile: every port is predicted then, not every step's.
    static let denseStep = 4

    /// One observer's answer, in the order in which the observers were first asked.
    struct Observation: Equatable {
        let observer: SocketAddress
        let mapped: SocketAddress
    }

    /// The addresses to tell a peer.
    ///
    /// - Parameter observations: of one socket, by at least one observer.
    static func candidates(_ observations: [Observation]) -> [Candidate] {
        var result: [Candidate] = []
        for family in [IPAddress.Family.v4, .v6] {
            let mapped = observations.map(\.mapped).filter { $0.ip.family == family }
            for address in mapped where !result.contains(where: { $0.address == address }) {
                result.append(Candidate(.observed, address))
            }
            if let run = run(after: mapped) { result.append(run) }
        }
        return result
    }

    /// The ports that a NAT in sequence gives out next; `nil` when the mappings are one, or follow no sequence.
    private static func run(after mapped: [SocketAddress]) -> Candidate? {
        guard let last = mapped.last, mapped.allSatisfy({ $0.ip == last.ip }), Set(mapped).count > 1 else { return nil }
        let ports = mapped.map { Int($0.port) }
        let steps = zip(ports.dropFirst(), ports).map { $0 - $1 }.filter { $0 != 0 }
        guard let smallest = steps.map(abs).min(), steps.allSatisfy({ abs($0) <= longestStep }) else { return nil }
        let isCountingUp = steps.count { $0 > 0 } * 2 >= steps.count
        let step = (smallest <= denseStep ? 1 : smallest) * (isCountingUp ? 1 : -1)
        let edge = (isCountingUp ? ports.max() : ports.min()) ?? Int(last.port)
        guard let first = UInt16(exactly: edge + step), first > 0 else { return nil }
        return Candidate(.predicted, SocketAddress(last.ip, port: first), step: step, count: Candidate.runLimit)
    }
}
