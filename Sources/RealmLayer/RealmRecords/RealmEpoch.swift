internal import DeP2PDiscovery
internal import DeP2PIdentity

/// The days by which a realm's records are kept apart, so that nobody outside can follow one over time.
package struct RealmEpoch: Hashable, Sendable {
    /// Milliseconds.
    package static let length: UInt64 = 86_400_000
    /// How long before its begin and after its end records of an epoch are published too: clocks differ by so much.
    package static let overlap: UInt64 = 2 * 3_600_000

    package let number: UInt64

    /// The one that a wall clock is in.
    package init(at time: UInt64) { number = time / Self.length }

    /// Those that are to be published at that time.
    package static func published(at time: UInt64) -> [RealmEpoch] {
        var all: [RealmEpoch] = []
        for epoch in [time, time &- min(time, overlap), time &+ overlap].map(RealmEpoch.init(at:))
        where !all.contains(epoch) { all.append(epoch) }
        return all
    }

    var bytes: [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: number >> (56 - 8 * UInt64($0))) } }
}
