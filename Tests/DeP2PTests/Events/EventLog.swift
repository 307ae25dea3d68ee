import DeP2PReach
import DeP2PReactor

@testable import DeP2P

/// Keeps what a node tells.
@NetworkActor
final class EventLog {
    private(set) var events: [NodeEvent] = []
    /// Whether the node will tell no more.
    private(set) var isOver = false

    init(of node: Node, _ kinds: NodeEvent.Kinds = .all) {
        let events = node.events(of: kinds)
        networkTask { [weak self] in
            for await event in events { self?.events.append(event) }
            self?.isOver = true
        }
    }

    var reachability: [Reachability.State] {
        events.compactMap { if case .reachability(let state) = $0 { state } else { nil } }
    }

    var subjects: Set<NodeEvent.Subject> { Set(events.map(\.subject)) }
}
