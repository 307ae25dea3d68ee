internal import DeP2PReactor

/// Runs `bodies` side by side on the network thread until one returns a value or throws, or all have returned `nil`;
/// cancels those left and waits for them.
@NetworkActor
func concurrently<Value: Sendable>(
    _ bodies: [@NetworkActor @Sendable () async throws -> Value?]
) async throws -> Value? {
    try await withThrowingTaskGroup(of: Value?.self) { group in
        for body in bodies { group.addTask(operation: body) }
        defer { group.cancelAll() }
        while let result = try await group.next() {
            if let value = result { return value }
        }
        return nil
    }
}
