import Identity
import QUIC
import Testing

@testable import RealmLayer

@Suite struct AdmissionBackoffTests {
    private func at(_ seconds: UInt64) -> NetworkInstant { NetworkInstant(nanoseconds: seconds * 1_000_000_000) }

    @Test func doublesAfterTheFreeFailures() {
        let node = IdentityKey.generate().nodeID
        let subjects = AdmissionBackoff.subjects(node, nil)
        var backoff = AdmissionBackoff()
        for _ in 0..<AdmissionBackoff.freeFailuresPerNode { backoff.failed(subjects, now: at(100)) }
        #expect(!backoff.isHeldOff(subjects, now: at(100)))
        var now: UInt64 = 100
        for delay: UInt64 in [1, 2, 4, 8, 16, 32, 64, 64, 64] {
            backoff.failed(subjects, now: at(now))
            #expect(backoff.isHeldOff(subjects, now: at(now + delay - 1)))
            #expect(!backoff.isHeldOff(subjects, now: at(now + delay)))
            now += delay
        }
        backoff.succeeded(node)
        backoff.failed(subjects, now: at(now))
        #expect(!backoff.isHeldOff(subjects, now: at(now)))
    }

    @Test func forgetsAfterAWhile() {
        let subjects = AdmissionBackoff.subjects(IdentityKey.generate().nodeID, nil)
        var backoff = AdmissionBackoff()
        for _ in 0..<20 { backoff.failed(subjects, now: at(0)) }
        backoff.failed(subjects, now: at(700))
        #expect(!backoff.isHeldOff(subjects, now: at(700)))
    }

    @Test func manyIdentitiesOfOneAddressAreHeldOffTogether() throws {
        let ip = try #require(IPAddress("2001:db8::1"))
        let neighbour = try #require(IPAddress("2001:db8::ffff:1"))
        var backoff = AdmissionBackoff()
        for _ in 0...AdmissionBackoff.freeFailuresPerIP {
            backoff.failed(AdmissionBackoff.subjects(IdentityKey.generate().nodeID, ip), now: at(0))
        }
        let fresh = IdentityKey.generate().nodeID
        #expect(backoff.isHeldOff(AdmissionBackoff.subjects(fresh, neighbour), now: at(0)))
        #expect(!backoff.isHeldOff(AdmissionBackoff.subjects(fresh, .v4Loopback), now: at(0)))
    }

    @Test func isBounded() throws {
        var backoff = AdmissionBackoff()
        let node = IdentityKey.generate().nodeID
        for index in 0..<UInt32(AdmissionBackoff.entryLimit + 50) {
            backoff.failed([.ip(IPAddress(v4: index))], now: at(UInt64(index) / 100))
        }
        backoff.failed([.node(node)], now: at(100))
        #expect(backoff.count == AdmissionBackoff.entryLimit)
    }
}
