internal import DeP2PDiscovery
public import DeP2PIdentity

/// One node that was asked in the course of a lookup in the DHT, and what came of it.
public struct DHTQuery: Sendable {
    public enum Outcome: Sendable {
        /// It named so many nodes.
        case answered(Int)
        case failed(DeP2PError)
    }

    public let nodeID: NodeID
    /// How far it is from what is looked for: 64 hexadecimal digits.
    public let distance: String
    /// From the first step towards it on, its connection included.
    public let elapsed: Duration
    public let outcome: Outcome
    /// Whether it had what was looked for.
    public let holds: Bool
}

extension DHTQuery {
    init(_ query: DHTLookup.Query) {
        nodeID = query.contact.nodeID
        distance = query.distance.description
        elapsed = query.elapsed
        holds = query.holds
        outcome =
            switch query.outcome {
            case .answered(let count): .answered(count)
            case .failed(let error): .failed(DeP2PError(error))
            }
    }
}
