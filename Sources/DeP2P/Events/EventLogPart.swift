internal import DeP2PApp
internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReach
internal import DeP2PReactor
internal import DeP2PSessions

/// Writes the events down where somebody reads that; nothing else observes for it.
@NetworkActor
final class EventLogPart: NodePart {
    private weak var node: Node?

    init(of node: Node) { self.node = node }

    func start() {
        guard isTraced(at: .notable), let events = node?.events() else { return }
        networkTask {
            for await event in events {
                let line = EventLog.line(event)
                trace(line.what, line.fields, at: line.level)
            }
        }
    }
}
