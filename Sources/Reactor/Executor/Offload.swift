import Dispatch

private let blockingQueue = DispatchQueue(label: "dep2p.blocking", attributes: .concurrent)

/// Runs blocking work (files, hashing, key stretching) away from the network thread and waits for its result.
///
/// Virtual time stands still meanwhile; a simulation that replays has the work done at once (``Simulation/worksInline``).
@NetworkActor
package func offload<Result: Sendable>(_ work: @escaping @Sendable () throws -> Result) async throws -> Result {
    if NetworkActor.executor.worksInline { return try work() }
    NetworkActor.executor.externalWork += 1
    defer { NetworkActor.executor.externalWork -= 1 }
    return try await withCheckedThrowingContinuation { continuation in
        blockingQueue.async {
            continuation.resume(with: Swift.Result { try work() })
        }
    }
}
