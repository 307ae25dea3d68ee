package import DeP2PIdentity

/// What one connection has carried, or several, by the way that it went: plain numbers, changed with each datagram.
package struct ConnectionTraffic: Sendable {
    /// A kind of path and a family of addresses.
    package struct Lane: Hashable, Sendable {
        package let path: PathClass
        package let family: IPAddress.Family

        package init(_ path: PathClass, _ family: IPAddress.Family) {
            (self.path, self.family) = (path, family)
        }

        package static let all = PathClass.allCases.flatMap { path in [Self(path, .v4), Self(path, .v6)] }

        var slot: Int { 2 * path.slot + (family == .v4 ? 0 : 1) }
    }

    private var wire = InlineArray<6, ByteTotals>(repeating: .zero)
    private var payload = InlineArray<3, ByteTotals>(repeating: .zero)

    package init() {}

    package func wire(_ lane: Lane) -> ByteTotals { wire[lane.slot] }

    /// Over paths of that kind.
    package subscript(path: PathClass) -> Traffic {
        Traffic(payload: payload[path.slot], wire: wire[2 * path.slot] + wire[2 * path.slot + 1])
    }

    /// Over all of them.
    package var total: Traffic { PathClass.allCases.reduce(.zero) { $0 + self[$1] } }

    package mutating func add(_ other: Self) {
        for slot in wire.indices { wire[slot] += other.wire[slot] }
        for slot in payload.indices { payload[slot] += other.payload[slot] }
    }

    mutating func sent(_ count: Int, slot: Int) { wire[slot].sent &+= UInt64(count) }
    mutating func received(_ count: Int, slot: Int) { wire[slot].received &+= UInt64(count) }
    mutating func carried(_ bytes: ByteTotals, over path: PathClass) { payload[path.slot] += bytes }
}

extension PathClass {
    fileprivate var slot: Int {
        switch self {
        case .direct: 0
        case .punched: 1
        case .relay: 2
        }
    }
}
