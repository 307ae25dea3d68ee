internal import DeP2PApp
internal import DeP2PReach
internal import DeP2PReactor
internal import DeP2PSessions

/// Makes events of what the floors tell their owner, the node. It stands first of all: nothing happens before it listens, and
/// it stops when all others have.
@NetworkActor
final class EventsPart: NodePart {
    private let hub: NodeEventHub
    private weak var node: Node?

    init(_ hub: NodeEventHub, of node: Node) {
        (self.hub, self.node) = (hub, node)
    }

    func start() {
        guard let node else { return }
        node.notices.onNotice = { [hub] notice in hub.emit(.storage(notice)) }
        node.relays.onEvent = { [hub] event in hub.emit(.relay(event)) }
        node.relayService?.onEvent = { [hub] event in hub.emit(.relaying(event)) }
        node.messaging.onHandlerFailure = { [hub] error, message in
            hub.emit(.messageFailed(from: message.from, protocolName: message.protocolName, reason: "\(error)"))
        }
        node.connections.onSession { [hub] session in Self.watch(session, hub) }
        node.connections.onAdmission { [hub] session in hub.emit(.session(session.subjectOfEvents, .admitted)) }
    }

    private static func watch(_ session: Session, _ hub: NodeEventHub) {
        let subject = session.subjectOfEvents
        hub.emit(.session(subject, .opened(session.path)))
        session.onPathChange { [hub] path in hub.emit(.session(subject, .moved(to: path))) }
        session.onEnd { [hub] _, end in hub.emit(.session(subject, .ended(end))) }
    }

    func stop() async { hub.finish() }
}

extension Session {
    fileprivate nonisolated var subjectOfEvents: NodeEvent.SessionSubject {
        NodeEvent.SessionSubject(id: id, nodeID: remoteNodeID)
    }
}
