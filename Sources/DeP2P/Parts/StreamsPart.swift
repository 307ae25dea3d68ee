internal import DeP2PReactor

/// The streams that the application accepts: a node that stops takes no more of them.
@NetworkActor
final class StreamsPart: NodePart {
    private let acceptors: StreamAcceptors

    init(_ acceptors: StreamAcceptors) {
        self.acceptors = acceptors
    }

    func willStop(within grace: Duration) { acceptors.finish() }
}
