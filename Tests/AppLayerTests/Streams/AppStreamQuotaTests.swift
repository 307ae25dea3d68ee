import DeP2PIdentity
import DeP2PReactor
import DeP2PSessions
import Testing

@testable import DeP2PApp

@Suite struct AppStreamQuotaTests {
    private func account(_ session: Int, at host: UInt32) -> AppStreamQuota.Account {
        AppStreamQuota.Account(session: UInt64(session), subject: Subject(IPAddress(v4: 0x0a00_0000 + host)))
    }

    @Test func aConnectionHasItsLimit() throws {
        var quota = AppStreamQuota()
        for _ in 0..<AppStreamQuota.limitPerConnection { try quota.begin(account(1, at: 1)) }
        let full = LimitExceeded(name: "streams of one connection", value: 128, limit: 128)
        #expect(throws: full) { try quota.begin(account(1, at: 1)) }
        try quota.begin(account(2, at: 1))
        quota.end(account(1, at: 1))
        try quota.begin(account(1, at: 1))
    }

    @Test func oneAddressLeavesHalfToTheOthers() throws {
        var quota = AppStreamQuota()
        for stream in 0..<AppStreamQuota.limitPerSubject {
            try quota.begin(account(stream / AppStreamQuota.limitPerConnection, at: 1))
        }
        let full = LimitExceeded(name: "streams of one address", value: 2_048, limit: 2_048)
        #expect(throws: full) { try quota.begin(account(99, at: 1)) }
        try quota.begin(account(100, at: 2))
    }

    @Test func allTogetherHaveTheirs() throws {
        var quota = AppStreamQuota()
        for stream in 0..<AppStreamQuota.limit { try quota.begin(account(stream / 64, at: UInt32(stream / 64))) }
        let full = LimitExceeded(name: "streams", value: 4_096, limit: 4_096)
        #expect(throws: full) { try quota.begin(account(1_000, at: 1_000)) }
        for stream in 0..<AppStreamQuota.limit { quota.end(account(stream / 64, at: UInt32(stream / 64))) }
        #expect(quota.isEmpty)
    }
}
