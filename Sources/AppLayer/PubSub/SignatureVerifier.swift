internal import DeP2PReactor

/// Verifies signatures away from the network thread: what has come by the end of a turn goes together.
@NetworkActor
final class SignatureVerifier {
    /// In one batch: who comes next waits for no more than these.
    private static let batchLimit = 256

    private var waiting = PeerTurns<PubSubMessage>()
    private var isUnderWay = false
    private let keys = AuthorKeys()
    /// Told of each; those of one source in the order of ``verify(_:from:)``.
    var onResult: (@NetworkActor (PubSubMessage, Bool) -> Void)?

    func verify(_ message: PubSubMessage, from source: PubSubRouter.PeerKey) {
        waiting.add(message, from: source)
        guard !isUnderWay else { return }
        isUnderWay = true
        NetworkActor.beforeWaiting { [weak self] in self?.begin() }
    }

    private func begin() {
        networkTask { [self] in
            while waiting.count > 0 {
                let batch = waiting.take(Self.batchLimit)
                let results = await traced(awaiting: "signatures are verified") { [keys] in
                    try await offload { batch.map { $0.isSigned(knowing: keys) } }
                }
                for (message, isSigned) in zip(batch, results ?? []) { onResult?(message, isSigned) }
            }
            isUnderWay = false
        }
    }
}
