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
        guard let generator else { return SecureRandom.bytes(count) }
        return (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next() >> 32) }
    }

    /// One generator for all who draw from it.
    private final class Generator: Sendable {
        private let state: Mutex<any RandomNumberGenerator & Sendable>

        init(_ generator: some RandomNumberGenerator & Sendable) { state = Mutex(generator) }

        func next() -> UInt64 { state.withLock { $0.next() } }
    }
}
