import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import Testing

@testable import DeP2PDiscovery

@Suite struct StoredSharesTests {
    /// Whatever was stored and taken away before: it is the farthest record of the subnet with the most, of several such
    /// subnets the farthest of all.
    @Test(arguments: 1...8) func itIsTheFarthestOfTheSubnetWithTheMost(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var shares = StoredShares()
        var all: [(subnet: Subject, distance: XORDistance)] = []
        for _ in 0..<2_000 {
            if !all.isEmpty, random.next() % 5 < 2 {
                let gone = all.remove(at: Int(random.next() % UInt64(all.count)))
                shares.remove(gone.distance, of: gone.subnet)
            } else {
                let ip = IPAddress(v4: 0x0801_0000 + UInt32(random.next() % (4 + seed * 8)) << 8)
                let new = (subnet: Subject(ip).subnet, distance: DHTKey.random(using: &random).bits)
                all.append(new)
                shares.add(new.distance, of: new.subnet)
            }
            let counts = all.reduce(into: [Subject: Int]()) { $0[$1.subnet, default: 0] += 1 }
            let expected = all.map { (count: counts[$0.subnet] ?? 0, record: $0) }.max {
                ($0.count, $0.record.distance) < ($1.count, $1.record.distance)
            }
            let largest = shares.largest()
            #expect(largest?.subnet == expected?.record.subnet && largest?.claim.distance == expected?.record.distance)
            #expect(largest?.claim.share == expected?.count)
            if let subnet = all.first?.subnet { #expect(shares.count(subnet) == counts[subnet]) }
        }
    }

    @Test func whatIsNotThereIsTakenAwayFromNobody() {
        var shares = StoredShares()
        let subnet = Subject(IPAddress(v4: 0x0801_0000)).subnet
        shares.remove(.zero, of: subnet)
        shares.add(.greatest, of: subnet)
        shares.remove(.zero, of: subnet)
        #expect(shares.count(subnet) == 1 && shares.largest()?.claim.distance == .greatest)
        shares.remove(.greatest, of: subnet)
        #expect(shares.count(subnet) == 0 && shares.largest() == nil)
    }
}
