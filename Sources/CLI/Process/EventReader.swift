import DeP2P

/// Reads the events of a command's node, from its start until after its stop.
///
/// Calling order: ``observe(_:)`` any number of times, before or after ``begin(on:)``; ``finish()`` when the node has
/// stopped.
@NetworkActor
final class EventReader {
    /// Transfers have an owner each, who is told of every file: that must not be left out when somebody is slow.
    private static let kinds = NodeEvent.Kinds.all.subtracting(.transfers)

    private var handlers: [@NetworkActor (NodeEvent) -> Void] = []
    private var events: NodeEvents?
    private var reading: SharedTask<Void>?

    nonisolated init() {}

    /// Calls `handler` with what happens from now on.
    func observe(_ handler: @escaping @NetworkActor (NodeEvent) -> Void) { handlers.append(handler) }

    func begin(on node: Node) {
        let events = node.events(of: Self.kinds)
        self.events = events
        reading = SharedTask { [weak self] in
            for await event in events { self?.tell(event) }
        }
    }

    /// Tells what has happened by now: whoever tells of something that follows from it says that behind it.
    func catchUp() {
        while let event = events?.takeAtOnce() { tell(event) }
    }

    private func tell(_ event: NodeEvent) {
        for handler in handlers { handler(event) }
    }

    /// Everything that happened is told when this returns.
    func finish() async {
        // The work throws nothing, and a command that was cancelled has nothing to tell any more.
        try? await reading?.value()
    }
}
