internal import DeP2PReactor

/// Verifies signatures away from the network thread: what has come by the end of a turn goes together.
@NetworkActor
final class SignatureVerifier {
    /// In one batch: whoever comes next does not wait for all that one peer has sent.
    private static let batchLimit = 256

    private var waiting: [PubSubMessage] = []
    private var isUnderWay = false
    private let keys = AuthorKeys()
    /// Told of each, in the order of ``verify(_:)``.
    var onResult: (@NetworkActor (PubSubMessage, Bool) -> Void)?

    func verify(_ message: PubSubMessage) {
        waiting.append(message)
        guard !isUnderWay else { return }
        isUnderWay = true
        NetworkActor.beforeWaiting { [weak self] in self?.begin() }
    }

    private func begin() {
        networkTask { [self] in
            while !waiting.isEmpty {
                let batch = Array(waiting.prefix(Self.batchLimit))
                waiting.removeFirst(batch.count)
                let results = await traced(awaiting: "signatures are verified") { [keys] in
                    try await offload { batch.map { $0.isSigned(knowing: keys) } }
                }
                for (message, isSigned) in zip(batch, results ?? []) { onResult?(message, isSigned) }
            }
            isUnderWay = false
        }
    }
}
