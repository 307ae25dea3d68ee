internal import DeP2PReactor

/// How long it takes from a place to another: the matrix in `round-trips.txt`, which is calculated, not measured.
package struct InternetRoundTrips: Sendable {
    /// A node's way to its region, both directions, in milliseconds: from a data centre to a slow line.
    static let lastMile = 1.0...25.0
    /// What one flight may take beyond its median.
    static let jitter = 0.0...0.15
    /// What a sender waits for an acknowledgement at the least.
    static let leastProbeTimeout: Duration = .milliseconds(90)

    /// Where a node is.
    package struct Place: Sendable {
        let region: Int
        let lastMile: Double
    }

    private let shares: [Double]
    private let medians: [[Double]]

    /// - Returns: nil for a text that is no lower triangle of a matrix.
    package init?(_ text: String) {
        var (shares, medians): ([Double], [[Double]]) = ([], [])
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            let fields = line.split(separator: " ").dropFirst().compactMap { Double($0) }
            guard fields.count == medians.count + 2 else { return nil }
            shares.append(fields[0])
            medians.append(Array(fields.dropFirst()))
        }
        guard !shares.isEmpty else { return nil }
        (self.shares, self.medians) = (shares, medians)
    }

    /// The one beside this file.
    package static var internet: InternetRoundTrips? {
        InternetRoundTrips(String(decoding: PackageResources.round_trips_txt, as: UTF8.self))
    }

    func place(using random: inout SplitMix64) -> Place {
        var rest = random.unit() * shares.reduce(0, +)
        let region = shares.firstIndex { share in
            rest -= share
            return rest < 0
        }
        let span = Self.lastMile.upperBound - Self.lastMile.lowerBound
        // Most are near: the square puts the median at a quarter of the span.
        let unit = random.unit()
        return Place(region: region ?? 0, lastMile: Self.lastMile.lowerBound + span * unit * unit)
    }

    func median(_ from: Place, _ to: Place) -> Duration {
        let (high, low) = (max(from.region, to.region), min(from.region, to.region))
        return .microseconds(Int64((medians[high][low] + from.lastMile + to.lastMile) * 1_000))
    }

    /// One flight there. What is lost is sent again after a probe timeout (RFC 9002 section 6.2), which doubles.
    func flight(_ from: Place, _ to: Place, loss: Double, using random: inout SplitMix64) -> Duration {
        let median = median(from, to)
        let extra = Self.jitter.lowerBound + random.unit() * (Self.jitter.upperBound - Self.jitter.lowerBound)
        var delay = median / 2 * (1 + extra)
        var timeout = max(Self.leastProbeTimeout, median * 3 / 2)
        while random.unit() < loss {
            delay += timeout
            timeout *= 2
        }
        return delay
    }

    /// The same in nanoseconds, for millions of them.
    static func flight(_ median: UInt64, loss: Double, using random: inout SplitMix64) -> UInt64 {
        let extra = jitter.lowerBound + random.unit() * (jitter.upperBound - jitter.lowerBound)
        var delay = UInt64(Double(median) / 2 * (1 + extra))
        var timeout = max(leastProbeTimeout.clampedNanoseconds, median * 3 / 2)
        while random.unit() < loss {
            delay += timeout
            timeout *= 2
        }
        return delay
    }
}
