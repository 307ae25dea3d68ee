/// The latest content of each route, made once for all who ask within ``LocalRoute/lifetime``: pure.
struct ContentCache<ID: Hashable, Instant: InstantProtocol> where Instant.Duration == Duration {
    private enum Entry {
        /// Being made, for these.
        case making([ID])
        case made(LocalContent, at: Instant)
    }

    enum OnRequest {
        case take(LocalContent)
        /// It is being made; ``made(_:for:now:)`` names who asked when it is there.
        case wait
        /// As ``wait``, and the caller has it made.
        case make
    }

    /// As many as there are routes.
    private var entries: [String: Entry] = [:]

    mutating func request(_ route: String, by id: ID, now: Instant) -> OnRequest {
        switch entries[route] {
        case .making(let waiting)?:
            entries[route] = .making(waiting + [id])
            return .wait
        case .made(let content, let time)? where time.duration(to: now) < LocalRoute.lifetime: return .take(content)
        case .made?, nil:
            entries[route] = .making([id])
            return .make
        }
    }

    /// - Returns: whom it is for.
    mutating func made(_ content: LocalContent, for route: String, now: Instant) -> [ID] {
        guard case .making(let waiting)? = entries[route] else { return [] }
        entries[route] = .made(content, at: now)
        return waiting
    }
}
