import Dispatch

private let blockingQueue = DispatchQueue(label: "dep2p.blocking", attributes: .concurrent)

/// Runs blocking work (files, hashing, key stretching) away from the network thread and waits for its result.
///
/// Virtual time stands still meanwhile, so a simulation stays deterministic.
@NetworkActor
package func offload<Result: Sendable>(_ work: @escaping @Sendable () throws -> Result) async throws -> Result {
    NetworkActor.executor.externalWork += 1
    defer { NetworkActor.executor.externalWork -= 1 }
    return try await withCheckedThrowingContinuation { continuation in
        blockingQueue.async {
            continuation.resume(with: Swift.Result { try work() })
        }
    }
}
