import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation

@testable import DeP2PDiscovery

func at(_ seconds: Double) -> NetworkInstant { NetworkInstant(nanoseconds: UInt64(seconds * 1e9)) }

extension SplitMix64 {
    /// A NodeID of no key, which costs less to make.
    mutating func nodeID() throws -> NodeID {
        // The protobuf of an Ed25519 key, in an identity multihash.
        try NodeID(bytes: [0, 36, 8, 1, 0x12, 32] + bytes(32))
    }

    /// Somewhere on the Internet; two of them hardly ever share a subnet.
    mutating func ip() -> IPAddress {
        while true {
            let ip = IPAddress(v4: UInt32(truncatingIfNeeded: next() >> 32))
            if ip.isGlobal { return ip }
        }
    }

    /// - Parameter key: where it is, when that is not left to its NodeID.
    mutating func contact(at ip: IPAddress? = nil, key: DHTKey? = nil) throws -> DHTContact {
        DHTContact(try nodeID(), addresses: [.quic(ip ?? self.ip(), port: 4001)], key: key)
    }

    mutating func contacts(_ count: Int) throws -> [DHTContact] { try (0..<count).map { _ in try contact() } }
}

extension DHTContact {
    var subnet: Subject? { subnets.first }
}

extension Sequence<DHTContact> {
    func nearest(to target: DHTKey, _ count: Int) -> [DHTContact] {
        map { (contact: $0, distance: $0.key.distance(to: target)) }.sorted { $0.distance < $1.distance }
            .prefix(count).map(\.contact)
    }
}
