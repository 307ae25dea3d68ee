internal import DeP2PReactor

/// How many bytes a connection's peer may have under way or unread, and when it is granted more: pure.
///
/// ngtcp2 could tune this window too, but only up to a bound that is fixed when the connection is made; ours is raised
/// when a peer turns out to be worth it. The rule is ngtcp2's own: credit is returned once a quarter of the window has
/// been read, and when that comes back within two round trips the window was the bottleneck, and doubles. But not while
/// more than a quarter of it has arrived and waits to be read: then the reader is the bottleneck, and more would only wait.
/// Past ``modest`` it is the shortest round trip that counts, and the time of a whole window: the usual round trip has in
/// it how long packets wait in this side's own socket, and what has waited is read in no time, so that a fast sender would
/// open the whole window on a loopback, to be filled with what waits.
///
/// Calling order: ``consume(_:)`` for what the application has read, ``grant(now:roundTrip:)`` when that says so.
struct ReceiveWindow {
    private static let roundTrips = 2
    /// Returns of credit that are a window's worth.
    private static let quarters = 4
    /// Bytes.
    static let modest: UInt64 = 4 * 1024 * 1024
    /// The shortest round trip that is a way between machines, and not the work of this one.
    static let far = Duration.milliseconds(10)

    /// Bytes.
    private(set) var size: UInt64
    private(set) var limit: UInt64
    /// Read, and not granted anew yet.
    private var consumed: UInt64 = 0
    /// When credit was returned last, a window's worth of it, the oldest first.
    private var grants: [NetworkInstant] = []

    /// - Parameter limit: how far it grows by itself; below `size` it does not.
    init(size: UInt64, limit: UInt64) {
        self.size = size
        self.limit = max(size, limit)
    }

    /// - Returns: whether credit is due.
    mutating func consume(_ count: UInt64) -> Bool {
        consumed += count
        return consumed > size / 4
    }

    /// - Parameters:
    ///   - roundTrip: as it is now.
    ///   - shortestRoundTrip: of all that were measured.
    ///   - unread: bytes that have arrived and wait.
    /// - Returns: the bytes to add to what the peer may send.
    mutating func grant(
        now: NetworkInstant, roundTrip: Duration, shortestRoundTrip: Duration, unread: UInt64
    ) -> UInt64 {
        var credit = consumed
        consumed = 0
        if size < limit, unread <= size / 4, isBottleneck(now, roundTrip, shortestRoundTrip) {
            let grown = size > limit / 2 ? limit : size * 2
            credit += grown - size
            size = grown
            grants.removeAll(keepingCapacity: true)
        }
        if grants.count == Self.quarters { grants.removeFirst() }
        grants.append(now)
        return credit
    }

    private func isBottleneck(_ now: NetworkInstant, _ roundTrip: Duration, _ shortestRoundTrip: Duration) -> Bool {
        guard let last = grants.last, let first = grants.first else { return false }
        if size < Self.modest { return now.duration(since: last) < roundTrip * Self.roundTrips }
        return grants.count == Self.quarters
            && now.duration(since: first) < shortestRoundTrip * Self.roundTrips * Self.quarters
    }

    /// Opens the window to `size` at once, and lets it grow to `limit`; never less than now.
    ///
    /// - Returns: the bytes to add to what the peer may send.
    mutating func raise(to size: UInt64, limit: UInt64) -> UInt64 {
        self.limit = max(self.limit, limit, size)
        guard size > self.size else { return 0 }
        defer { self.size = size }
        return size - self.size
    }
}
