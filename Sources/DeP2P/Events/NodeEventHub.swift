internal import DeP2PReactor

/// Gives a node's events to everybody who observes it.
@NetworkActor
final class NodeEventHub {
    private struct Observer {
        /// Who lets go of it hears no more.
        weak var events: NodeEvents?
    }

    private var observers: [Observer] = []
    private var isFinished = false

    /// Observers, those that have gone without being noticed included.
    var count: Int { observers.count }

    /// - Parameter earlier: what the observer should know of what was before.
    func observe(_ kinds: NodeEvent.Kinds, capacity: Int, earlier: [NodeEvent]) -> NodeEvents {
        let events = NodeEvents(of: kinds, capacity: capacity)
        for event in earlier where kinds.contains(event.kind) { events.push(event) }
        if isFinished { events.cancel() } else { observers.append(Observer(events: events)) }
        return events
    }

    /// Costs a look where nobody observes.
    func emit(_ event: @autoclosure () -> NodeEvent) {
        guard !observers.isEmpty else { return }
        let event = event()
        observers.removeAll { $0.events?.isFinished ?? true }
        for observer in observers {
            if let events = observer.events, events.kinds.contains(event.kind) { events.push(event) }
        }
    }

    /// There will be no more.
    func finish() {
        isFinished = true
        for observer in observers { observer.events?.cancel() }
        observers = []
    }
}
