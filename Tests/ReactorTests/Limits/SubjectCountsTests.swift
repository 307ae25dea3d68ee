import DeP2PIdentity
import Testing

@testable import DeP2PReactor

@Suite struct SubjectCountsTests {
    @Test func whatIsTakenAwayLeavesNothingBehind() throws {
        let hosts = try ["192.0.2.1", "192.0.2.2", "192.0.2.1", "2001:db8:7:1::1", "2001:db8:7:2::1"]
            .map { text in Subject(try #require(IPAddress(text))) }
        var counts = SubjectCounts(hosts)
        #expect(hosts.map(counts.count) == [2, 1, 2, 1, 1])
        #expect(hosts.map(counts.subnetCount) == [3, 3, 3, 2, 2])
        counts.remove(hosts[0])
        #expect(counts.count(hosts[0]) == 1 && counts.subnetCount(hosts[1]) == 2)
        for host in hosts.dropFirst() { counts.remove(host) }
        #expect(counts.isEmpty)
    }
}
