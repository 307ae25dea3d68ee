package import DeP2PReactor

/// The error that `body` throws.
@NetworkActor
package func failure(_ body: @NetworkActor () async throws -> Void) async -> (any Error)? {
    do {
        try await body()
        return nil
    } catch {
        return error
    }
}

/// Lets everything run that is ready at this instant. Virtual time stands still: unlike `Task.yield`, this never
/// leaves the network thread.
@NetworkActor
package func settle() async {
    for _ in 0..<4 {
        await withCheckedContinuation { continuation in NetworkActor.beforeWaiting { continuation.resume() } }
    }
}

/// A variable shared by closures of the network thread.
@NetworkActor
package final class Box<Value> {
    package var value: Value
    package init(_ value: Value) { self.value = value }
}
