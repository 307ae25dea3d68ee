internal import Synchronization

/// Where a node's random numbers come from: the operating system, or in a simulation a generator that replays.
///
/// Copies draw from the same generator.
package struct RandomSource: RandomNumberGenerator, Sendable {
    /// The operating system's.
    package static let system = RandomSource(generator: nil)

    private let generator: Generator?

    private init(generator: Generator?) { self.generator = generator }

    /// Draws from `generator` alone. For simulations: who knows its state knows every key.
    package init(replaying generator: some RandomNumberGenerator & Sendable) {
        self.init(generator: Generator(generator))
    }

    /// Whether the same numbers come again in the next run.
    package var isReplayed: Bool { generator != nil }

    package func next() -> UInt64 { generator?.next() ?? SecureRandom.uint64() }

    package func bytes(_ count: Int) -> [UInt8] {
        guard let generator else {
            return count <= RandomNames.longest ? RandomNames.bytes(count) : SecureRandom.bytes(count)
        }
        return (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next() >> 32) }
    }

    /// One generator for all who draw from it.
    private final class Generator: Sendable {
        private let state: Mutex<any RandomNumberGenerator & Sendable>

        init(_ generator: some RandomNumberGenerator & Sendable) { state = Mutex(generator) }

        func next() -> UInt64 { state.withLock { $0.next() } }
    }
}

/// Short random bytes, asked of the operating system for many at a time: a connection takes six for its IDs, and each is a
/// system call.
///
/// None is a secret that lasts: keys are longer than the longest here, and never lie ready in memory. What lies here is of the
/// system's generator, given out once, and overwritten then. The program does not fork.
private enum RandomNames {
    /// That of a connection ID (RFC 9000 section 17.2).
    static let longest = 20
    private static let drawn = 240
    private static let ready = Mutex<[UInt8]>([])

    static func bytes(_ count: Int) -> [UInt8] {
        ready.withLock { ready in
            if ready.count < count { ready = SecureRandom.bytes(drawn) }
            let taken = Array(ready.suffix(count))
            for index in ready.indices.suffix(count) { ready[index] = 0 }
            ready.removeLast(count)
            return taken
        }
    }
}
