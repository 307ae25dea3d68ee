package import DeP2PReactor

/// Counts the streams of one protocol that are served at once on each session.
@NetworkActor
package final class StreamQuota {
    private let limit: Int
    private var counts: [UInt64: Int] = [:]

    package init(limit: Int) {
        self.limit = limit
    }

    /// Serves one more with `body`.
    ///
    /// - Throws: ``SessionError`` `busy` beyond the limit; what `body` throws.
    package func run(_ session: Session, _ body: @NetworkActor () async throws -> Void) async throws {
        guard counts[session.id, default: 0] < limit else { throw SessionError(.busy) }
        counts.increment(session.id)
        defer { counts.decrement(session.id) }
        try await body()
    }
}
