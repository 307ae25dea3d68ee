internal import DeP2P
internal import DeP2PQUIC
package import DeP2PReactor
internal import DeP2PSessions

/// What happened in a world, a line for each event: when, in nanoseconds of virtual time, and what.
@NetworkActor
package final class EventTrace {
    /// Lines kept; what happens later is counted only.
    package static let limit = 2_000_000

    private let clock: any NetworkClock
    private(set) var lines: [String] = []
    /// What happened beyond ``limit``.
    package private(set) var left = 0

    init(clock: any NetworkClock) { self.clock = clock }

    package var text: String { lines.joined(separator: "\n") + "\n" }
    package var count: Int { lines.count + left }

    /// Writes down what happens now.
    package func note(_ text: String) {
        guard lines.count < Self.limit else { return left += 1 }
        lines.append("\(clock.now.nanoseconds) \(text)")
    }

    /// Writes down what a node tells of itself.
    func follow(_ node: Node, as name: String) {
        let events = node.events()
        networkTask { [weak self] in
            for await event in events { self?.note("\(name) \(Self.line(event))") }
            self?.note("\(name) ends")
        }
    }

    /// Without what stands for a relayed path below QUIC: such addresses are the process's own.
    private nonisolated static func line(_ event: NodeEvent) -> String {
        guard case .session(let subject, let change) = event else { return "\(event)" }
        let what =
            switch change {
            case .opened(let path): "opened \(path.kind)"
            case .moved(let path): "moved \(path.kind)"
            case .admitted: "admitted"
            case .ended(let end): "ended \(end)"
            }
        return "session \(subject.id) \(subject.nodeID) \(what)"
    }
}
